"""Redis: commands and pipelines, each user over a connection of its own.

The client library's connection is used without its retries, time-outs and conversions of replies: one operation is sent
once, ends by its own time-out, and its reply is what the server said.
"""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from redis.asyncio import Connection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    InvalidResponse,
    OutOfMemoryError,
    RedisError,
    ResponseError,
)
from redis.exceptions import (
    ConnectionError as LostError,
)
from redis.exceptions import (
    TimeoutError as LateError,
)

from shakedown.load import values
from shakedown.load.drivers.operations import OperationsDriver, OperationsVu, Prepared
from shakedown.load.drivers.users import Failure, Running, transport_failure
from shakedown.load.notes import note_of
from shakedown.plan.driver_checks import Facts
from shakedown.plan.drivers import Redis, RedisOperation

if TYPE_CHECKING:
    from shakedown.load.engine import Engine

__all__ = ["RedisDriver"]

Commands = list[list[str | int | float]]


class PreparedRedis(Prepared[RedisOperation]):
    """Commands, compiled."""

    def __init__(self, plan: RedisOperation) -> None:
        tree = values.value(plan.commands)

        def render(names: Mapping[str, object]) -> object:
            made = cast("list[list[object]]", tree(names))
            return [[part if isinstance(part, str | int | float) else str(part) for part in one] for one in made]

        note = note_of(plan, "command", lambda made: made[1], removes=plan.removes)
        super().__init__("redis", plan, render, (lambda names, made: note(names, made[0], made)) if note else None)  # type: ignore[index]


class RedisDriver(OperationsDriver[RedisOperation]):
    """Where the server is, and the operations."""

    def __init__(self, engine: "Engine", redis: Redis) -> None:
        operations = [PreparedRedis(operation) for operation in redis.operations]
        super().__init__(engine, operations, weighted=redis.mode == "weighted")
        self._redis = redis

    def vu(self, number: int) -> "RedisVu":
        """A new user."""
        return RedisVu(number, self)

    def connection(self) -> Connection:
        """A connection that is still to be made."""
        address, redis = self.engine.spec.address, self._redis
        return Connection(
            host=address.host, port=address.port, db=redis.database, username=redis.username, password=redis.password,
            socket_timeout=None, socket_connect_timeout=None, retry=Retry(NoBackoff(), 0), health_check_interval=0,
            decode_responses=True, encoding_errors="replace", protocol=2, driver_info=None,
        )  # fmt: skip


class RedisVu(OperationsVu[RedisOperation]):
    """A user with its connection."""

    driver: RedisDriver

    def __init__(self, number: int, driver: RedisDriver) -> None:
        super().__init__(number, driver)
        self._connection: Connection | None = None

    async def perform(self, operation: Prepared[RedisOperation], payload: object, running: Running) -> int:
        """Send the commands at once, and take their replies."""
        connection, whole = self._connection, False
        try:
            if connection is None:
                running.phase = "connect"
                connection = self._connection = self.driver.connection()
                await connection.connect()  # type: ignore[no-untyped-call]
                running.mark_sent()
            reply = await _exchange(connection, cast("Commands", payload), operation.plan)
            whole = True
        except (RedisError, OSError, ValueError) as error:
            raise _failure(error) from error
        finally:
            if not whole:  # replies may still be on their way: nothing more can be told apart on it
                self._connection = None if self._connection is connection else self._connection
                if connection is not None:
                    await connection.disconnect(nowait=True)
        refusal = _first_error(reply)
        if refusal is not None:
            raise _failure(refusal)
        operation.judge(Facts({"reply": reply}, time.monotonic() - running.begun))
        return 0

    def abandon(self) -> None:
        """The task that was cut off closes its connection itself."""
        self._connection = None

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self.driver.task(self.driver.tidy(self._connection.disconnect(nowait=True)))
            self._connection = None


async def _exchange(connection: Connection, commands: Commands, plan: RedisOperation) -> object:
    """The reply, or those of a pipeline; a command that the server refused has its error as its reply."""
    sent: Commands = [["MULTI"], *commands, ["EXEC"]] if plan.atomic else commands
    await connection.send_packed_command(connection.pack_commands(sent), check_health=False)
    replies: list[object] = []
    for _ in sent:
        try:
            replies.append(await connection.read_response())
        except ResponseError as error:
            replies.append(error)
    if plan.atomic:
        refused = next((reply for reply in replies[:-1] if isinstance(reply, ResponseError)), None)
        return refused if refused is not None else replies[-1]
    return replies if plan.pipeline is not None else replies[0]


def _first_error(reply: object) -> Exception | None:
    if isinstance(reply, Exception):
        return reply
    if isinstance(reply, list):
        return next((error for one in reply if (error := _first_error(one)) is not None), None)
    return None


def _failure(error: BaseException) -> Failure:
    """refused, dns, reset, closed, auth, memory (it has none left), loading, protocol, reply (any other refusal)."""
    text = str(error) or type(error).__name__
    match error:
        case AuthenticationError() | AuthorizationError():
            return Failure("auth", text, answered=True)
        case OutOfMemoryError():
            return Failure("memory", text, answered=True)
        case BusyLoadingError():
            return Failure("loading", text, answered=True, undone=True)
        case InvalidResponse():
            return Failure("protocol", text)
        case LostError() | LateError():
            cause = error.__cause__ or error.__context__
            if isinstance(cause, OSError) and not isinstance(cause, TimeoutError):
                return transport_failure(cause)
            return Failure("closed", text)
        case ResponseError():
            kind = "auth" if text.startswith(("NOAUTH", "WRONGPASS", "NOPERM", "Authentication")) else "reply"
            return Failure("memory" if text.startswith("OOM") else kind, text, answered=True)
        case OSError():
            return transport_failure(error)
    return Failure("protocol", text)
