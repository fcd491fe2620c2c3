"""Ledgers and invariants: what must be found again, and what must be so when all is quiet. docs/ledgers.md explains them."""

import re
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from shakedown.plan.base import PlanModel
from shakedown.plan.extracts import compile_path
from shakedown.plan.probes import Probe, dotted
from shakedown.plan.values import Duration, Name

__all__ = ["LEDGER_KINDS", "LEDGER_METRICS", "Invariant", "Ledger", "LedgerListing", "LedgerRead"]

# What can be wrong with a key, in the order in which reports tell it.
LEDGER_KINDS = ("lost", "duplicated", "corrupted", "phantom", "resurrected", "out_of_order", "unwanted")
LEDGER_METRICS = (
    *LEDGER_KINDS, "acknowledged", "refused", "unknown", "unknown_found", "checked", "unreadable",
)  # fmt: skip

_COMMAND = Annotated[
    list[str | int], BeforeValidator(lambda value: value.split() if isinstance(value, str) else value),
    Field(min_length=1),
]  # fmt: skip
_LIMIT = re.compile(r"(<=|>=|==|<|>)?\s*([-+]?\d+(?:\.\d+)?)")


def _path(value: str | None) -> str | None:
    if value is not None and value not in ("", "body"):
        compile_path(dotted(value))
    return value


class _Asked(PlanModel):
    """Whom a ledger is read back from; exactly one of `get`, `sql`, `redis`."""

    get: str | None = Field(default=None, description="the path of a GET, a template")
    sql: str | None = Field(default=None, min_length=1, description="a query; its columns are known by their names")
    redis: _COMMAND | None = Field(default=None, description="a command and its arguments, each a template")
    target: str | None = Field(default=None, description="service.port-name that is asked")
    url: str | None = Field(
        default=None, description="of sql: an async SQLAlchemy URL; {host} and {port} stand for the target's address"
    )
    username: str | None = Field(default=None, description="of redis")
    password: str | None = Field(default=None, description="of sql (put into the URL) or redis")
    database: int = Field(default=0, ge=0, description="of redis")
    value: str | None = Field(
        default=None, description="get: where the value stands in the answer, or `body`; redis: `reply`"
    )
    position: str | None = Field(
        default=None, description="get: where the number stands that says in which order it was stored"
    )
    timeout: Duration = Field(default=5.0, gt=0, description="of one question")

    @property
    def kind(self) -> Literal["get", "sql", "redis"]:
        """How it is asked."""
        return "get" if self.get is not None else "sql" if self.sql is not None else "redis"

    @property
    def secrets(self) -> list[str]:
        """What must never be shown."""
        inside = re.match(r"[^/]*//[^:/@]*:(.*)@", self.url or "")
        return [text for text in (self.password, inside[1] if inside else None) if text]

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if sum(way is not None for way in (self.get, self.sql, self.redis)) != 1:
            raise ValueError("a ledger is read by exactly one of get, sql, redis")
        if (self.url is not None) != (self.sql is not None):
            raise ValueError("`url` goes with `sql`, which needs it")
        if self.target is None and (self.sql is None or "{host}" in (self.url or "")):
            raise ValueError("a `target` is needed, service.port-name")
        if self.sql is not None and (self.value or self.position):
            raise ValueError("a query calls its columns `value` and `position`; leave the keys of these names out")
        if self.redis is not None and (self.position or self.value not in (None, "reply")):
            raise ValueError("of Redis the value is the `reply`, and there is no `position`")
        return self

    @field_validator("value", "position")
    @classmethod
    def _a_path(cls, value: str | None) -> str | None:
        return _path(value)

    @property
    def has_value(self) -> bool:
        """Whether what it finds can be compared with what was written."""
        return self.value is not None or (self.sql is not None and re.search(r"\bvalue\b", self.sql) is not None)

    @property
    def has_position(self) -> bool:
        """Whether it says in which order things were stored."""
        return self.position is not None or (self.sql is not None and re.search(r"\bposition\b", self.sql) is not None)


class LedgerRead(_Asked):
    """How to find one key again. A GET whose checks hold means found; of a query, a row; of a command, a reply.

    Attributes:
        get, redis: templates that know `key`; a query has it as `:key`.
        copies: of a GET, a path into the JSON answer whose list length or number says how often it was stored.
    """

    checks: list[str] = ["status == 200"]
    copies: str | None = None

    @field_validator("copies")
    @classmethod
    def _copies_path(cls, value: str | None) -> str | None:
        return _path(value)

    @model_validator(mode="after")
    def _asks_for_a_key(self) -> Self:
        if self.sql is not None and not re.search(r"(?<!:):key\b", self.sql):
            raise ValueError("a query for one key has it as `:key`; to read all at once, write it under `list`")
        if self.get is None and self.copies is not None:
            raise ValueError("`copies` goes with `get`; a query's rows are its copies")
        return self


class LedgerListing(_Asked):
    """Everything that is there, page by page.

    Attributes:
        get, redis: templates that know `page` (from 0), `offset` (items so far) and `cursor` (empty at first).
        items: of a GET, where the list stands in the JSON answer; none: the answer is the list.
        key: of a GET, where the key stands in an item; a query calls the column `key`.
        next: of a GET, where the next page's cursor stands; the last page has none. Without it, an empty page is the end.
        match: a regular expression; what it does not match is none of this ledger's, and its first group is the key.
        ordered: the listing is in the order in which things were stored.
    """

    items: str = ""
    key: str = "id"
    next: str | None = None
    match: str | None = None
    ordered: bool = False

    @field_validator("items", "key", "next")
    @classmethod
    def _paths(cls, value: str | None) -> str | None:
        return _path(value)

    @field_validator("match")
    @classmethod
    def _compiles(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                re.compile(value)
            except (re.error, OverflowError, RecursionError) as error:
                raise ValueError(f"not a regular expression: {value!r}: {error}") from None
        return value

    @model_validator(mode="after")
    def _names_the_key(self) -> Self:
        if self.sql is not None and not re.search(r"\bkey\b", self.sql):
            raise ValueError("a listing's query has a column `key`: SELECT id AS key …")
        return self

    @property
    def has_position(self) -> bool:
        """Whether it says in which order things were stored."""
        return self.ordered or super().has_position


class Ledger(PlanModel):
    """Writes that were acknowledged must be found again, once, as they were written.

    Attributes:
        read, list_: by key, or all at once; with both, the listing comes first and tells what was never sent.
        within: what is missing may come within this time of the reading's begin, seconds.
        lost, duplicated, corrupted, phantom, resurrected, out_of_order, unwanted: how many keys may be so; a threshold
            of the recovery stage (`ledger.NAME.lost == 0`) stands instead. `unwanted` is only counted without a limit.
    """

    read: LedgerRead | None = None
    list_: LedgerListing | None = Field(default=None, alias="list")
    within: Duration = Field(default=30.0, ge=0, le=3600)
    lost: int = Field(default=0, ge=0, description="acknowledged and not there")
    duplicated: int = Field(default=0, ge=0, description="there more than once")
    corrupted: int = Field(default=0, ge=0, description="there with another value than was written")
    phantom: int = Field(default=0, ge=0, description="there and never sent; seen by a listing alone")
    resurrected: int = Field(default=0, ge=0, description="removed, and there again")
    out_of_order: int = Field(default=0, ge=0, description="stored before what was acknowledged earlier")
    unwanted: int | None = Field(default=None, ge=0, description="refused, and there all the same")

    @model_validator(mode="after")
    def _some_way(self) -> Self:
        if self.read is None and self.list_ is None:
            raise ValueError("a ledger needs `read` (by key) or `list` (all at once)")
        return self

    @property
    def ways(self) -> dict[str, LedgerRead | LedgerListing]:
        """How it is read, by the plan's key."""
        ways: dict[str, LedgerRead | LedgerListing | None] = {"read": self.read, "list": self.list_}
        return {name: way for name, way in ways.items() if way is not None}

    def limit(self, kind: str) -> int | None:
        """How many keys may be so; None when they are only counted."""
        found: int | None = getattr(self, kind)
        return found


class Invariant(Probe):
    """What holds whenever the system is at rest: a count, a sum, a queue that is empty, no half transaction.

    Looked at before the faults and in the recovery stage, again and again until it holds or `within` is over.

    Attributes:
        service: whose ports `url` and `http` name.
        expect: a number, or a comparison such as `<= 5`; exactly one of `expect`, `equals`.
        equals: a second query (or command) to the same place, which gives the same number.
        within: how long it may take to become so, seconds.
    """

    service: Name
    expect: str | float | None = None
    equals: str | None = Field(default=None, min_length=1)
    within: Duration = Field(default=15.0, ge=0, le=3600)

    @model_validator(mode="after")
    def _one_side(self) -> Self:
        if (self.expect is None) == (self.equals is None):
            raise ValueError("an invariant has exactly one of expect, equals")
        if self.equals is not None and self.sql is None and self.redis is None:
            raise ValueError("`equals` goes with `sql` and `redis`; give `expect`")
        if isinstance(self.expect, str) and not _LIMIT.fullmatch(self.expect.strip()):
            raise ValueError(f"not an expectation: {self.expect!r}; write a number, or <= 5")
        return self

    @property
    def limit(self) -> tuple[str, float] | None:
        """The operator and the number of `expect`; None with `equals`."""
        if self.expect is None:
            return None
        match = _LIMIT.fullmatch(str(self.expect).strip())
        if match is None:  # inf, nan
            raise ValueError(f"not an expectation: {self.expect!r}")
        return match[1] or "==", float(match[2])

    @property
    def text(self) -> str:
        """What must hold, for people."""
        asked = self.sql or self.redis or self.http or " ".join(self.command or ())
        if self.equals is not None:
            return f"{asked} == {self.equals}"
        op, number = self.limit or ("==", 0.0)
        return f"{asked} {op} {number:g}"
