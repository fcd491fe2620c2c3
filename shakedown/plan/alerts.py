"""Alerts: what the system, or what watches it, raises by itself when something is wrong."""

import re
from typing import Annotated, Self

from pydantic import Field, model_validator

from shakedown.plan.abort import Condition, parse_condition
from shakedown.plan.base import PlanModel
from shakedown.plan.extracts import compile_path
from shakedown.plan.probes import dotted
from shakedown.plan.values import Duration, Name

__all__ = ["Alert"]


class Alert(PlanModel):
    """One alert of one service; exactly one of http, log, series says how to see whether it fires."""

    service: Annotated[Name, Field(description="whose endpoint, log or series it is")]
    http: Annotated[
        str | None, Field(description="`port-name:/path` of an answer that shows it; with json, matches or rule")
    ] = None
    json_: Annotated[
        str | None,
        Field(
            alias="json",
            description="it fires when something stands there that is not empty, false or 0: `alerts`, `$.a[?@.x==1]`",
        ),
    ] = None
    equals: Annotated[
        str | float | bool | None, Field(description="with json: it fires when this stands there, and not otherwise")
    ] = None
    matches: Annotated[
        str | None, Field(description="it fires when this regular expression is found in the answer")
    ] = None
    rule: Annotated[
        str | None,
        Field(
            description="name of a rule in the answer of Prometheus (`/api/v1/alerts`) or an Alertmanager (`/api/v2/alerts`)"
        ),
    ] = None
    log: Annotated[
        str | None, Field(description="a line of the service's log in which this regular expression is found")
    ] = None
    clear: Annotated[str | None, Field(description="with log: a line that ends it")] = None
    lasts: Annotated[
        Duration, Field(gt=0, description="with log, without clear: how long a line counts, default 5s")
    ] = 5.0
    series: Annotated[
        str | None, Field(description="a condition on a sampled series of the service: `queue_depth > 100`")
    ] = None
    every: Annotated[Duration, Field(ge=0.1, le=60, description="from look to look, 100ms to 60s, default 250ms")] = (
        0.25
    )
    timeout: Annotated[Duration, Field(gt=0, le=60, description="of a look, up to 60s, default 2s")] = 2.0

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if sum(way is not None for way in (self.http, self.log, self.series)) != 1:
            raise ValueError("an alert has exactly one of http, log, series")
        readings = sum(way is not None for way in (self.json_, self.matches, self.rule))
        if readings != (self.http is not None):
            raise ValueError(
                "`http` goes with exactly one of json, matches, rule" if self.http is not None
                else "`json`, `matches` and `rule` go with `http`"
            )  # fmt: skip
        if self.equals is not None and self.json_ is None:
            raise ValueError("`equals` goes with `json`")
        if self.clear is not None and self.log is None:
            raise ValueError("`clear` goes with `log`")
        return self

    @model_validator(mode="after")
    def _readable(self) -> Self:
        for name in ("matches", "log", "clear"):
            pattern = getattr(self, name)
            try:
                re.compile(pattern or "")
            except re.error as error:
                raise ValueError(f"`{name}` is no regular expression: {error}") from None
        if self.json_ is not None:
            compile_path(dotted(self.json_))
        if self.series is not None:
            _ = self.condition
        return self

    @property
    def condition(self) -> Condition:
        """Of a series.

        Raises:
            ValueError: it is none.
        """
        if self.series is None:
            raise ValueError("the alert has no series")
        try:
            return parse_condition(f"{self.service}.{self.series}")
        except ValueError:
            raise ValueError(f"not a condition: `{self.series}`; write `queue_depth > 100`") from None
