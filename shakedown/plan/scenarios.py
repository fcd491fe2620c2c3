"""Scenarios: one kind of load each, with its executor, its requests and its data."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from shakedown.plan.base import PlanModel
from shakedown.plan.drivers import Operation, Python, Redis, Sql, Tcp, Via, Websocket
from shakedown.plan.executors import Executor
from shakedown.plan.requests import METHODS, Group, Http, Request

__all__ = ["DRIVERS", "METHODS", "Data", "Http", "Request", "Scenario"]

DRIVERS = ("http", "sql", "redis", "tcp", "websocket", "python")


class Data(PlanModel):
    """Rows for the templates (`row.column`), from CSV (with a header) or JSON lines.

    Attributes:
        order: iterations take the rows in their `sequential` order, in a `shuffled` one (each row once before any
            comes again), or at `random`; `unique`: each user has a row of its own, which it keeps.
        exhausted: begin again when there are no more rows (`recycle`), or end the load with an error (`stop`);
            by default unique rows stop, and all others are recycled.
    """

    file: str
    order: Literal["sequential", "random", "shuffled", "unique"] = "sequential"
    exhausted: Literal["recycle", "stop"] | None = None

    @property
    def recycles(self) -> bool:
        """Whether rows are used again when all have been."""
        if self.order == "random":
            return True
        return self.order != "unique" if self.exhausted is None else self.exhausted == "recycle"


class _NoHttp(Http):
    """What a scenario that speaks something else asks over HTTP: nothing."""

    @property
    def sequences(self) -> list[Group]:
        """None at all."""
        return []


_NO_HTTP = _NoHttp.model_construct(target="")


class Scenario(PlanModel):
    """One kind of load: when iterations start, and what one iteration does, in exactly one of several languages."""

    executor: Executor
    http: Http = Field(default_factory=lambda: _NO_HTTP)  # of a scenario that speaks something else, without requests
    via: Via | None = None  # of HTTP alone: version 2, or a proxy
    sql: Sql | None = None
    redis: Redis | None = None
    tcp: Tcp | None = None
    websocket: Websocket | None = None
    python: Python | None = None
    data: Data | None = None
    seed: int | None = None  # the same seed gives the same schedule and data; by default each run draws its own

    @model_validator(mode="after")
    def _one_language(self) -> Self:
        spoken = [not isinstance(self.http, _NoHttp), *(part is not None for part in self._others)]
        if sum(spoken) != 1:
            raise ValueError(f"a scenario speaks exactly one of {', '.join(DRIVERS)}")
        if self.via is not None and not spoken[0]:
            raise ValueError("`via` is a way for http; this scenario speaks something else")
        return self

    @model_serializer(mode="wrap")
    def _what_is_spoken(self, dump: SerializerFunctionWrapHandler) -> dict[str, object]:
        data: dict[str, object] = dump(self)
        if isinstance(self.http, _NoHttp):
            data.pop("http", None)
        return data

    @property
    def _others(self) -> tuple[Sql | Redis | Tcp | Websocket | Python | None, ...]:
        return (self.sql, self.redis, self.tcp, self.websocket, self.python)

    @property
    def spoken(self) -> Http | Sql | Redis | Tcp | Websocket | Python:
        """What it speaks."""
        return next((part for part in self._others if part is not None), self.http)

    @property
    def driver(self) -> str:
        """The key of what it speaks: http, sql, …."""
        return next((name for name in DRIVERS[1:] if getattr(self, name) is not None), "http")

    @property
    def target(self) -> str | None:
        """`service.port-name` that the load goes to; None when it goes to none of the plan's services."""
        return self.spoken.target

    @property
    def _measured(self) -> list[Request] | list[Operation]:
        spoken = self.spoken
        if isinstance(spoken, Python):
            return []
        return spoken.all_requests if isinstance(spoken, Http) else list[Operation](spoken.operations)

    @property
    def operations(self) -> list[str]:
        """The names under which requests are measured."""
        if self.python is not None:
            return self.python.operations or [self.python.own_name]
        return [request.name for request in self._measured]

    @property
    def tags(self) -> dict[str, dict[str, str]]:
        """The tags of each operation that has some."""
        if self.python is not None:
            return self.python.tags
        return {request.name: request.tags for request in self._measured if request.tags}

    @property
    def ledgers(self) -> list[str]:
        """The ledgers that its writes are noted in."""
        noted = {getattr(request, "ledger", None) for request in self._measured} - {None}
        own = self.python.ledgers.values() if self.python is not None else ()
        return sorted({*map(str, noted), *own})

    @property
    def secrets(self) -> list[str]:
        """What no log, database or report may show; of HTTP requests `plan.secrets` itself knows."""
        ways = self.via.secrets if self.via is not None else []
        return ways if isinstance(self.spoken, Http) else self.spoken.secrets

    @property
    def notes(self) -> list[str]:
        """What whoever reads its results must be told."""
        return [*self.http.notes, *(self.via.notes if self.via is not None else ())]
