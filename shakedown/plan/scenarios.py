"""Scenarios: one kind of load each, with its executor, its requests and its data."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from shakedown.plan.base import PlanModel
from shakedown.plan.executors import Executor, Pause
from shakedown.plan.values import Duration, Name

__all__ = ["METHODS", "Data", "Http", "Request", "Scenario"]

METHODS = ("get", "post", "put", "patch", "delete", "head", "options")


class Request(PlanModel):
    """One HTTP request, with exactly one method key.

    Path, headers and body are Jinja templates (uuid, randint, choice, now, row, iteration, vu).
    """

    name: Name
    get: str | None = None
    post: str | None = None
    put: str | None = None
    patch: str | None = None
    delete: str | None = None
    head: str | None = None
    options: str | None = None
    headers: dict[str, str] = {}
    json_: object | None = Field(default=None, alias="json")
    body: str | None = None
    form: dict[str, str] | None = None
    timeout: Duration = Field(default=10.0, gt=0)
    checks: list[str] = []  # see plan.checks; with none, any status below 400 is a success
    ledger: Name | None = None
    key: str | None = None  # the ledger key: a template, default: the "id" of the JSON body
    weight: float = Field(default=1.0, gt=0)
    tags: dict[Name, str] = {}  # what thresholds can pick requests by: `send{kind:read}.p95 < 1s`
    think_time: Pause | None = None  # the user's pause after this request, before the next one of the sequence

    @model_validator(mode="after")
    def _one_method_and_body(self) -> Self:
        if sum(getattr(self, method) is not None for method in METHODS) != 1:
            raise ValueError(f"a request needs exactly one of {', '.join(METHODS)}")
        if sum(part is not None for part in (self.json_, self.body, self.form)) > 1:
            raise ValueError("a request has at most one of json, body, form")
        return self

    @property
    def method(self) -> str:
        """The method's key: get, post, …."""
        return next(method for method in METHODS if getattr(self, method) is not None)

    @property
    def path(self) -> str:
        """The path, as a template."""
        return str(getattr(self, self.method))


class Http(PlanModel):
    """The requests of a scenario and where they go."""

    target: str  # "service.port-name"
    headers: dict[str, str] = {}
    requests: list[Request] = Field(min_length=1)
    mode: Literal["sequence", "weighted"] = "sequence"  # all in order each iteration, or one drawn by weight


class Data(PlanModel):
    """Rows for the templates (`row.column`), from CSV (with a header) or JSON lines."""

    file: str
    order: Literal["sequential", "random"] = "sequential"


class Scenario(PlanModel):
    """One kind of load: when iterations start, and what one iteration does."""

    executor: Executor
    http: Http
    data: Data | None = None
    seed: int | None = None  # the same seed gives the same schedule and data; by default each run draws its own

    @property
    def target(self) -> str | None:
        """`service.port-name` that the load goes to; None when it goes to none of the plan's services."""
        return self.http.target

    @property
    def operations(self) -> list[str]:
        """The names under which requests are measured."""
        return [request.name for request in self.http.requests]

    @property
    def tags(self) -> dict[str, dict[str, str]]:
        """The tags of each operation that has some."""
        return {request.name: request.tags for request in self.http.requests if request.tags}

    @property
    def ledgers(self) -> list[str]:
        """The ledgers that its writes are noted in."""
        return sorted({request.ledger for request in self.http.requests if request.ledger is not None})
