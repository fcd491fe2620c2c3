"""Faults of PostgreSQL and Redis: what a database does to its users while it runs."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from shakedown.plan.base import Kind
from shakedown.plan.faults.base import FaultProblem, OnService, no_such
from shakedown.plan.faults.network import OnConnections
from shakedown.plan.values import Duration, Name, Port, Size

if TYPE_CHECKING:
    from shakedown.plan.model import Plan

__all__ = [
    "DatabaseFault",
    "OnPostgres",
    "OnRedis",
    "PostgresHoldConnections",
    "PostgresLock",
    "PostgresMaxConnections",
    "PostgresReadOnly",
    "PostgresSlowCommits",
    "PostgresSlowQueries",
    "PostgresTerminate",
    "RedisBlock",
    "RedisEvict",
    "RedisFailover",
    "RedisFlush",
    "RedisKillClients",
    "RedisMaxmemory",
    "RedisPause",
]

Variable = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=64)]
Identifier = Annotated[str, Field(min_length=1, max_length=63)]
Table = Annotated[
    str,
    Field(
        pattern=r'^[A-Za-z_"][\w$"]*(\.[A-Za-z_"][\w$"]*)?$', max_length=130, description="`table` or `schema.table`"
    ),
]


# ------------------------------------------------------------------------------------------------------------- PostgreSQL
class OnPostgres(OnService):
    """A fault of a PostgreSQL server, brought about by `psql` in its container."""

    user: Identifier | None = Field(
        default=None, description="the superuser that psql connects as; default: the container's POSTGRES_USER"
    )
    database: Identifier | None = Field(
        default=None, description="the database that it acts on; default: the container's POSTGRES_DB"
    )
    port: Port = Field(default=5432, description="the port that the server listens on inside the container")
    run_as: str = Field(default="", description="the container's user that runs psql; default: the image's own")

    def claims(self) -> frozenset[str]:
        """What needs a session of its own; see PostgresHoldConnections, which leaves none."""
        return frozenset({f"{self.target}:sessions:{self.type}"})


class PostgresHoldConnections(OnPostgres):
    """Connections are taken until nobody, superusers included, gets a new one; those that come free are taken too."""

    type: Literal["postgres-hold-connections"] = "postgres-hold-connections"
    leave: int | None = Field(
        default=None,
        ge=0,
        le=10_000,
        description="connections that stay free; default: 0, unless `connections` is given",
    )
    connections: int | None = Field(
        default=None, ge=1, le=2_000, description="how many to hold, instead of all but `leave`"
    )

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.leave is not None and self.connections is not None:
            raise ValueError("either `leave` or `connections`")
        return self

    def claims(self) -> frozenset[str]:
        """Every session."""
        return frozenset({f"{self.target}:sessions"})


class PostgresTerminate(OnPostgres):
    """Sessions of clients are ended by the server, in mid-transaction unless told otherwise."""

    type: Literal["postgres-terminate"] = "postgres-terminate"
    in_transaction: bool = Field(default=True, description="only sessions with an open transaction")
    application: str | None = Field(default=None, description="only this application_name")
    role: Identifier | None = Field(default=None, description="only sessions of this user")
    most: int | None = Field(default=None, ge=1, description="how many at a time, at most; default: all that fit")
    every: Duration | None = Field(
        default=None, ge=0.5, description="again each time this has passed; default: once, as soon as there is one"
    )


class PostgresLock(OnPostgres):
    """A table is locked by a transaction that does not end before the hold time does."""

    type: Literal["postgres-lock"] = "postgres-lock"
    table: Table
    mode: Literal["access-exclusive", "exclusive", "share-row-exclusive", "share"] = Field(
        default="access-exclusive", description="access-exclusive makes readers and writers wait, the others writers"
    )

    def claims(self) -> frozenset[str]:
        """The table."""
        return frozenset({f"{self.target}:sessions:table {self.database or ''}.{self.table}"})


class PostgresSlowCommits(OnPostgres):
    """Every commit that wrote something waits before it is flushed; reads are as quick as ever."""

    type: Literal["postgres-slow-commits"] = "postgres-slow-commits"
    delay: Duration = Field(default=0.1, ge=0.005, le=0.1, description="what a commit takes longer; 5ms to 100ms")


class PostgresSlowQueries(OnConnections):
    """Queries reach the server later, each by itself; connecting is as quick as ever. Encrypted ones cannot be read."""

    type: Literal["postgres-slow-queries"] = "postgres-slow-queries"
    works_on: ClassVar[frozenset[Kind]] = frozenset({"docker", "process"})
    delay: Duration = Field(gt=0, le=600, description="what a query takes longer; up to 10 minutes")
    matching: str | None = Field(
        default=None, min_length=1, max_length=1000,
        description="only queries in whose text this regular expression is found, whatever the case: `^select .* from orders`",
    )  # fmt: skip

    @field_validator("matching")
    @classmethod
    def _a_pattern(cls, value: str | None) -> str | None:
        try:
            re.compile((value or "").encode(), re.IGNORECASE)
        except re.error as error:
            raise ValueError(f"no regular expression: {error}") from error
        return value


class PostgresReadOnly(OnPostgres):
    """Every transaction that begins is read-only, in sessions that are open already too."""

    type: Literal["postgres-read-only"] = "postgres-read-only"


class PostgresMaxConnections(OnPostgres):
    """A database lets in fewer sessions of ordinary users; superusers are exempt, postgres-hold-connections is for them."""

    type: Literal["postgres-max-connections"] = "postgres-max-connections"
    connections: int = Field(ge=0, le=10_000, description="sessions of ordinary users that the database lets in")
    end_excess: bool = Field(
        default=True, description="end sessions above it at once; otherwise those that are open stay, and bar new ones"
    )


# ------------------------------------------------------------------------------------------------------------------ Redis
class OnRedis(OnService):
    """A fault of a Redis server, brought about by `redis-cli` in its container."""

    port: Port = Field(default=6379, description="the port that the server listens on inside the container")
    username: str | None = Field(default=None, description="of the server's access list; default: none")
    password_variable: Variable = Field(
        default="REDIS_PASSWORD", description="the variable of the container's environment that holds the password"
    )

    def claims(self) -> frozenset[str]:
        """This kind of fault, once at a time."""
        return frozenset({f"{self.target}:commands:{self.type}"})


class RedisMaxmemory(OnRedis):
    """The server's memory is full and nothing may be evicted: commands that need memory are refused, reads are answered."""

    type: Literal["redis-maxmemory"] = "redis-maxmemory"
    maxmemory: Size | None = Field(
        default=None, gt=0, description="the limit, in bytes; default: 5% less than what is in use"
    )

    def claims(self) -> frozenset[str]:
        """Its memory, as for RedisEvict."""
        return frozenset({f"{self.target}:commands:maxmemory"})


class RedisEvict(OnRedis):
    """The server's memory is lowered and keys are evicted to fit, least recently used first. They are gone for good."""

    type: Literal["redis-evict"] = "redis-evict"
    maxmemory: Size | None = Field(
        default=None, gt=0, description="the limit, in bytes; default: 10% less than what is in use"
    )
    policy: Literal["allkeys-lru", "allkeys-lfu", "allkeys-random", "volatile-lru", "volatile-ttl"] = Field(
        default="allkeys-lru", description="which keys go; `volatile` ones have a time to live"
    )
    destructive: Literal[True] = Field(description="must be `true`: evicted keys do not come back")

    def claims(self) -> frozenset[str]:
        """Its memory."""
        return frozenset({f"{self.target}:commands:maxmemory"})


class _WholeServer(OnRedis):
    """It leaves no other command a way in."""

    def claims(self) -> frozenset[str]:
        """Every command; what is done to its network or its container goes together with it."""
        return frozenset({f"{self.target}:commands"})


class RedisPause(_WholeServer):
    """The server keeps its clients waiting: connections stay open, commands are answered when the pause is over."""

    type: Literal["redis-pause"] = "redis-pause"
    commands: Literal["all", "write"] = Field(default="all", description="which commands wait")


class RedisBlock(_WholeServer):
    """Scripts keep the server busy, one after the other: a command waits until the one at work ends."""

    type: Literal["redis-block"] = "redis-block"
    block: Duration = Field(
        default=1.0, ge=0.05, le=10, description="how long each script runs; from 5s on others hear BUSY"
    )


class RedisKillClients(OnRedis):
    """The server closes its clients' connections."""

    type: Literal["redis-kill-clients"] = "redis-kill-clients"
    clients: Literal["normal", "pubsub", "replica"] = Field(default="normal", description="which connections")
    every: Duration | None = Field(
        default=None, ge=0.5, description="again each time this has passed; default: once, as soon as there is one"
    )


class RedisFlush(OnRedis):
    """Every key is removed. There is no way back: no undo, and none is pretended."""

    type: Literal["redis-flush"] = "redis-flush"
    database: int | None = Field(default=None, ge=0, le=10_000, description="only this one; default: all")
    destructive: Literal[True] = Field(description="must be `true`: what is flushed does not come back")


class RedisFailover(_WholeServer):
    """A replica becomes the primary, and the old primary its replica: writes to the old one are refused.

    Afterwards the old one is the primary again, with what was written meanwhile.
    """

    type: Literal["redis-failover"] = "redis-failover"
    replica: Name = Field(description="the service that is the target's replica")
    demote: bool = Field(
        default=True,
        description="false: the old primary stays one too, as if it did not know; what the replica took in is lost",
    )

    def claims(self) -> frozenset[str]:
        """Both servers."""
        return frozenset({f"{self.target}:commands", f"{self.replica}:commands"})

    def problems(self, plan: "Plan") -> Iterator[FaultProblem]:
        """The replica is another container."""
        yield from super().problems(plan)
        others = [name for name, service in plan.services.items() if name != self.target and service.kind == "docker"]
        if self.replica not in others:
            yield ("replica",), *no_such("other docker service", self.replica, others)


DatabaseFault = (
    PostgresHoldConnections
    | PostgresTerminate
    | PostgresLock
    | PostgresSlowCommits
    | PostgresSlowQueries
    | PostgresReadOnly
    | PostgresMaxConnections
    | RedisMaxmemory
    | RedisEvict
    | RedisPause
    | RedisBlock
    | RedisKillClients
    | RedisFlush
    | RedisFailover
)
