"""What stands in the place of a vendor outside: answers made up here, or a way through to the real one."""

import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, JsonValue, field_validator, model_validator

from shakedown.plan.base import PlanModel
from shakedown.plan.values import Duration, Share

__all__ = [
    "ARRIVALS",
    "DEFAULT_EVENT",
    "Forward",
    "Route",
    "RouteErrors",
    "RouteLimit",
    "RouteStream",
    "ServerTls",
    "Stub",
]

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2
_OURS = frozenset({"content-length", "transfer-encoding", "connection"})
_EXPRESSION = re.compile(r"\{\{\s*(.*?)\s*\}\}")
_REQUEST = re.compile(r"request\.(method|path|body|json(\.[A-Za-z0-9_-]+)*|query\.[^.\s]+|headers\.[A-Za-z0-9_-]+)")
_WORDS = frozenset({"uuid()", "now()", "count"})
_IN_STREAM = frozenset({"token", "index"})
DEFAULT_EVENT: JsonValue = {"choices": [{"index": 0, "delta": {"content": "{{ token }}"}}]}
LONGEST_TEXT = 1 << 20
ARRIVALS = "stub_arrivals"  # the counter of everything that came, answered or not


def _headers(headers: dict[str, str]) -> dict[str, str]:
    for name, value in headers.items():
        if not _TOKEN.fullmatch(name):
            raise ValueError(f"`{name}` is no name of a header")
        if name.lower() in _OURS:
            raise ValueError(f"`{name}` is the stub's own affair")
        if any(mark in value for mark in "\r\n\0"):
            raise ValueError(f"the header `{name}` holds a line break")
    return headers


Headers = Annotated[dict[str, str], AfterValidator(_headers)]
Status = Annotated[int, Field(ge=200, le=599)]


def _strange(value: object, allowed: frozenset[str]) -> Iterator[str]:
    """Expressions that the stub does not know, anywhere in a value."""
    if isinstance(value, str):
        for found in _EXPRESSION.findall(value):
            if found not in allowed and not _REQUEST.fullmatch(found):
                yield found
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _strange(key, allowed)
            yield from _strange(inner, allowed)
    elif isinstance(value, list):
        for inner in value:
            yield from _strange(inner, allowed)


def _known(value: Any, allowed: frozenset[str] = _WORDS) -> Any:
    for found in _strange(value, allowed):
        raise ValueError(
            f"`{{{{ {found} }}}}` is unknown here; there are {', '.join(sorted(allowed))}, request.method, request.path, "
            "request.body, request.json.KEY, request.query.NAME, request.headers.NAME"
        )
    return value


class RouteLimit(PlanModel):
    """So many calls within a time; beyond them 429 with Retry-After, at once."""

    calls: int = Field(ge=1, le=1_000_000)
    per: Duration = Field(default=1.0, gt=0, le=86400)
    retry_after: Duration | None = Field(
        default=None, ge=0, le=86400
    )  # default: until there is room again; whole seconds


class RouteErrors(PlanModel):
    """A share of the calls fails, drawn from the stub's seed."""

    share: Share = Field(gt=0, le=1)
    status: Status = 503
    retry_after: Duration | None = Field(default=None, ge=0, le=86400)
    json_: JsonValue = Field(default=None, alias="json")

    @field_validator("json_")
    @classmethod
    def _expressions(cls, value: JsonValue) -> JsonValue:
        return _known(value)  # type: ignore[no-any-return]


class RouteStream(PlanModel):
    """An answer as server-sent events, token by token, as language models give theirs.

    Attributes:
        when: `asked`: only if the request is JSON with `"stream": true`, as is usual; others get the route's plain answer.
        text: what is said, cut into tokens at its spaces.
        tokens: how many; the text is repeated or cut. Default: those that the text has.
        first_after: time to the first token, besides the route's latency.
        interval: between two tokens; `jitter` either way.
        event: the JSON of each event, where `{{ token }}` and `{{ index }}` are filled in.
        name: of the events (`event:`); none by default.
        end: the data of the last event; null for none.
    """

    when: Literal["asked", "always"] = "asked"
    text: str = Field(default="The quick brown fox jumps over the lazy dog.", min_length=1, max_length=LONGEST_TEXT)
    tokens: int | None = Field(default=None, ge=1, le=100_000)
    first_after: Duration = Field(default=0.0, ge=0, le=600)
    interval: Duration = Field(default=0.02, ge=0, le=60)
    jitter: Duration = Field(default=0.0, ge=0, le=60)
    event: JsonValue = DEFAULT_EVENT
    name: str | None = Field(default=None, pattern=r"^[^\r\n]+$")
    end: str | None = Field(default="[DONE]", pattern=r"^[^\r\n]*$")

    @field_validator("event")
    @classmethod
    def _expressions(cls, value: JsonValue) -> JsonValue:
        return _known(value, _WORDS | _IN_STREAM)  # type: ignore[no-any-return]


class Route(PlanModel):
    """How some calls are answered; the first route that fits a call answers it.

    Attributes:
        path: without the query; `*` is anything but a slash, `**` anything.
        methods: none given: any.
        json_, body, file: the answer's body, at most one of them; `file` is relative to the plan.
        latency: until the answer begins; `jitter` either way.
    """

    path: str = Field(pattern=r"^/[^?#\s]*$", max_length=1000)
    methods: list[Annotated[str, Field(pattern=r"^[A-Z]+$", max_length=32)]] = []
    status: Status = 200
    headers: Headers = {}
    json_: JsonValue = Field(default=None, alias="json")
    body: str | None = Field(default=None, max_length=LONGEST_TEXT)
    file: str | None = None
    latency: Duration = Field(default=0.0, ge=0, le=600)
    jitter: Duration = Field(default=0.0, ge=0, le=600)
    stream: RouteStream | None = None
    rate_limit: RouteLimit | None = None
    errors: RouteErrors | None = None

    @property
    def label(self) -> str:
        """As it is counted: `POST /v1/chat`."""
        return " ".join([*([",".join(self.methods)] if self.methods else []), self.path])

    @field_validator("json_", "body", "headers")
    @classmethod
    def _expressions(cls, value: Any) -> Any:
        return _known(value)

    @model_validator(mode="after")
    def _one_body(self) -> Self:
        if sum((self.json_ is not None, self.body is not None, self.file is not None)) > 1:
            raise ValueError("give one of `json`, `body`, `file`")
        if self.path.startswith("/-/"):
            raise ValueError("paths below /-/ are the stub's own")
        return self


class ServerTls(PlanModel):
    """What it shows to its callers: PEM files, relative to the plan."""

    certificate: str
    key: str


class Stub(PlanModel):
    """Answers made up from the plan.

    Attributes:
        seed: of everything at random in it: which calls fail, jitter, uuid().
        tls: none: it speaks plain HTTP.
    """

    routes: list[Route] = Field(min_length=1, max_length=200)
    seed: int = 0
    tls: ServerTls | None = None

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        labels = [route.label for route in self.routes]
        for index, label in enumerate(labels):
            if label in labels[:index]:
                raise ValueError(f"the route `{label}` is there twice: the second would never answer")
        return self


class Forward(PlanModel):
    """A way through to the real one, on which faults can act.

    Attributes:
        to: `https://api.vendor.example`, or `http://NAME:PORT` of another service.
        ca: PEM file with the authorities that the other side's certificate is checked against, relative to the plan;
            default: those of the image's distribution.
        allow: calls that go outside cost money and disturb strangers: they must be allowed.
    """

    to: str
    ca: str | None = None
    allow: bool = False
    tls: ServerTls | None = None

    @field_validator("to")
    @classmethod
    def _an_origin(cls, url: str) -> str:
        try:
            parts = urlsplit(url)
            whole = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and not parts.username
            whole = whole and parts.path in ("", "/") and not (parts.query or parts.fragment)
        except ValueError:
            whole = False
        if not whole:
            raise ValueError(f"`{url}` is no address of a server; write https://api.vendor.example, without a path")
        return url.rstrip("/")

    @property
    def host(self) -> str:
        """Of the other side."""
        return urlsplit(self.to).hostname or ""
