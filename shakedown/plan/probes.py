"""Values of one's own that are sampled of a service: a query, a Redis command, an HTTP answer, a program's output."""

import re
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from shakedown.plan.base import PlanModel
from shakedown.plan.extracts import compile_path
from shakedown.plan.values import Duration

__all__ = ["URL_PORT", "Probe", "dotted"]

URL_PORT = re.compile(r"\{port\.([\w-]+)\}")
_HTTP = re.compile(r"[A-Za-z][\w-]*:/\S*")


def _as_list(value: object) -> object:
    return ["sh", "-c", value] if isinstance(value, str) else value


class Probe(PlanModel):
    """One value, once in `every`: exactly one of sql, redis, http, command says where it comes from."""

    sql: str | None = None  # a query whose first row's first column is the value; needs `url`
    redis: str | None = None  # a command whose reply is a number: `LLEN jobs`, `DBSIZE`; needs `url`
    field: str | None = None  # of `INFO`: `used_memory`
    url: str | None = (
        None  # postgresql+asyncpg://user:password@{port.db}/name; {port.NAME} is host:port of the service's port
    )
    http: str | None = None  # `port-name:/path`
    json_: str | None = Field(
        default=None, alias="json"
    )  # where the value stands in the answer: `queue.depth`, `$.a[0]`
    command: Annotated[list[str] | None, BeforeValidator(_as_list)] = (
        None  # in the container, or on the host; its first number
    )
    every: Duration = Field(default=1.0, ge=0.2)
    timeout: Duration = Field(default=5.0, gt=0)

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        ways = [self.sql is not None, self.redis is not None, self.http is not None, self.command is not None]
        if sum(ways) != 1:
            raise ValueError("a probe has exactly one of sql, redis, http, command")
        if (self.url is not None) != (self.sql is not None or self.redis is not None):
            raise ValueError("`url` goes with `sql` and `redis`, which need it")
        if self.field is not None and (self.redis is None or not self.redis.upper().startswith("INFO")):
            raise ValueError("`field` goes with `redis: INFO …`")
        if self.json_ is not None and self.http is None:
            raise ValueError("`json` goes with `http`")
        return self

    @field_validator("http")
    @classmethod
    def _with_a_port(cls, value: str | None) -> str | None:
        if value is not None and not _HTTP.fullmatch(value):
            raise ValueError(f"`{value}` is no `port-name:/path`")
        return value

    @field_validator("json_")
    @classmethod
    def _a_path(cls, value: str | None) -> str | None:
        if value is not None:
            compile_path(dotted(value))
        return value


def dotted(path: str) -> str:
    """A path as extractions write it."""
    return path if path.startswith("$") else f"json.{path}"
