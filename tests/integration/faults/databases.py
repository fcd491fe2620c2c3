"""A PostgreSQL and a Redis as services of a run, and their clients on this machine.

Their ports are called `http` because the plans of these tests have a scenario, which needs one; nothing speaks it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import redis

from shakedown.plan.services import Build
from shakedown.services import System
from shakedown.services.images import build_image
from tests.conftest import COURIER

PASSWORD = "p@ss w'rd"  # noqa: S105 - of a container that lives as long as these tests
IMAGES = COURIER.parent / "images"


def postgres_service(engine, **environment: str) -> dict[str, Any]:
    """A server with 20 connections."""
    return {
        "image": build_image(engine, IMAGES / "postgres", Build(context="."), print),
        "environment": {
            "POSTGRES_USER": "admin", "POSTGRES_PASSWORD": PASSWORD, "POSTGRES_DB": "shop",
            "POSTGRES_MAX_CONNECTIONS": "20", **environment,
        },
        "ports": {"http": 5432}, "health": {"tcp": "http", "within": "60s"}, "stop_grace": "1s",
    }  # fmt: skip


def redis_service(engine, *options: str, **environment: str) -> dict[str, Any]:
    """A server without a disk."""
    return {
        "image": build_image(engine, IMAGES / "redis", Build(context="."), print),
        "command": ["redis-server", "--bind", "0.0.0.0", "--protected-mode", "no", "--save", "", *options],
        "environment": environment, "ports": {"http": 6379}, "health": {"tcp": "http"}, "stop_grace": "1s",
    }  # fmt: skip


def sql(system: System, *statements: str, user: str = "admin", service: str = "db", timeout: float = 5.0) -> Any:
    """Carry statements out as a client on this machine; the last one's first value."""

    async def go() -> Any:
        connection = await connect(system, user=user, service=service)
        try:
            for statement in statements[:-1]:
                await connection.execute(statement)
            return await connection.fetchval(statements[-1], timeout=timeout)
        finally:
            await connection.close(timeout=2)

    return asyncio.run(asyncio.wait_for(go(), timeout + 5))


async def connect(system: System, *, user: str = "admin", service: str = "db") -> asyncpg.Connection:
    """A connection from this machine."""
    address = system.address(f"{service}.http")
    return await asyncpg.connect(
        host=address.host, port=address.port, user=user, password=PASSWORD, database="shop", timeout=5, ssl=False
    )


def tried(action: Callable[[], Any]) -> Any:
    """What an action brings, or the class of its error and what it says."""
    try:
        return action()
    except (asyncpg.PostgresError, redis.RedisError, OSError, TimeoutError) as error:
        return type(error).__name__, str(error)


def alone(work: Callable[[], Awaitable[Any]]) -> Any:
    """Run asynchronous work to its end."""
    return asyncio.run(work())  # type: ignore[arg-type]


def client(system: System, service: str = "cache", **options: Any) -> redis.Redis:
    """A client on this machine."""
    address = system.address(f"{service}.http")
    given = {"socket_timeout": 1.0, "socket_connect_timeout": 1.0, "retry": None, **options}
    return redis.Redis(address.host, address.port, decode_responses=True, **given)
