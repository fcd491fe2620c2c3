"""HTTP requests as a plan writes them: what is sent, how the answer is judged, and what is taken from it."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from shakedown.plan.base import PlanModel
from shakedown.plan.executors import Pause
from shakedown.plan.values import Duration, Name

__all__ = ["METHODS", "ApiKey", "Auth", "Basic", "FilePart", "Group", "Http", "Redirects", "Request", "Timeouts", "Tls"]

METHODS = ("get", "post", "put", "patch", "delete", "head", "options")
IDEMPOTENT = frozenset({"get", "put", "delete", "head", "options"})
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_OURS = {"content-length": "its length is counted", "transfer-encoding": "bodies are sent with their length"}


def _header_fields(headers: dict[str, str]) -> dict[str, str]:
    """Names are tokens, values have no line breaks: what is sent is one request, and the one that was meant."""
    for name, value in headers.items():
        if not _TOKEN.fullmatch(name):
            raise ValueError(f"`{name}` is no name of a header field")
        if name.lower() in _OURS:
            raise ValueError(f"`{name}` cannot be given: {_OURS[name.lower()]}")
        if any(mark in value for mark in "\r\n\0"):
            raise ValueError(f"the header field `{name}` holds a line break")
    return headers


Headers = Annotated[dict[str, str], AfterValidator(_header_fields)]


class Timeouts(PlanModel):
    """How long to wait; a plain duration is the `total`."""

    connect: Duration | None = Field(default=None, gt=0)  # for a connection, TLS included
    first_byte: Duration | None = Field(default=None, gt=0)  # from the send to the answer's first byte
    total: Duration = Field(default=10.0, gt=0)  # for everything, redirects included


class FilePart(PlanModel):
    """A file inside a multipart body."""

    file: str  # path; relative to the plan
    filename: str | None = None  # as the service is told; default: the file's own
    type: str | None = None  # its Content-Type; default: what the file's name says


class Basic(PlanModel):
    """User name and password."""

    username: str
    password: str


class ApiKey(PlanModel):
    """A key in a header field or in the query; exactly one of the two."""

    header: str | None = None
    query: str | None = None
    value: str

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.header is None) == (self.query is None):
            raise ValueError("an api_key stands in exactly one of header, query")
        if self.header is not None:
            _header_fields({self.header: ""})
        return self


class Auth(PlanModel):
    """Who asks; exactly one form. All values are templates, and secret."""

    basic: Basic | None = None
    bearer: str | None = None
    api_key: ApiKey | None = None

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if sum(form is not None for form in (self.basic, self.bearer, self.api_key)) != 1:
            raise ValueError("auth has exactly one of basic, bearer, api_key")
        return self

    @property
    def texts(self) -> list[str]:
        """Its templates."""
        if self.basic is not None:
            return [self.basic.username, self.basic.password]
        return [self.bearer if self.bearer is not None else self.api_key.value if self.api_key is not None else ""]


class Tls(PlanModel):
    """How TLS is spoken; paths are relative to the plan."""

    ca: str | None = None  # certificates to trust, instead of the system's
    certificate: str | None = None  # our own, for services that ask for one
    key: str | None = None  # of that certificate; default: in the same file
    server_name: str | None = None  # which name the service's certificate must bear; default: the host
    insecure: bool = False  # trust whatever certificate comes; the result says so

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.key is not None and self.certificate is None:
            raise ValueError("a `key` needs its `certificate`")
        return self


class Redirects(PlanModel):
    """Redirects that are followed; a plain number is `max`."""

    max: int = Field(default=0, ge=0, le=50)
    allow: list[str] = []  # `host` or `host:port` besides the target that may be gone to

    @field_validator("allow")
    @classmethod
    def _hosts(cls, hosts: list[str]) -> list[str]:
        for host in hosts:
            try:
                parts = urlsplit(f"//{host}")
                whole = bool(parts.hostname) and parts.netloc == host and parts.port != 0
            except ValueError:
                whole = False
            if not whole:
                raise ValueError(f"`{host}` is no host; write cdn.example.com or 127.0.0.1:8080")
        return hosts


def _as_redirects(value: object) -> object:
    return {"max": value} if isinstance(value, int) and not isinstance(value, bool) else value


def _as_timeouts(value: object) -> object:
    return value if isinstance(value, dict | Timeouts) else {"total": value}


class Request(PlanModel):
    """One HTTP request, with exactly one method key.

    Path, header values, auth and body are Jinja templates; see docs/requests.md for the names they know.
    """

    name: Name
    get: str | None = None
    post: str | None = None
    put: str | None = None
    patch: str | None = None
    delete: str | None = None
    head: str | None = None
    options: str | None = None
    headers: Headers = {}
    auth: Auth | None = None  # instead of the scenario's
    json_: object | None = Field(default=None, alias="json")
    body: str | None = None
    form: dict[str, str] | None = None
    multipart: dict[str, str | FilePart] | None = None
    file: str | None = None  # a file as the body
    timeout: Annotated[Timeouts, BeforeValidator(_as_timeouts)] = Timeouts()
    checks: list[str] = []  # see plan.checks; with none, any status below 400 is a success
    degraded: str | None = None  # a check that holds of good answers that are less than the whole: counted apart
    refused: str | None = (
        None  # of a write in a ledger: a check that holds of failed answers after which nothing was kept
    )
    extract: dict[Name, str] = {}  # name -> source: what later requests of the sequence can use; see plan.extracts
    ledger: Name | None = None
    key: str | None = None  # the ledger key: a template, default: the "id" of the JSON body
    value: str | None = None  # what is compared when it is read back: a template, or `body`, which is all that is sent
    ordered_by: str | None = None  # a template: writes with the same text are stored in the order of acknowledgement
    removes: bool | None = None  # it takes the key away; default: whether it is a DELETE
    weight: float = Field(default=1.0, gt=0)
    tags: dict[Name, str] = {}  # what thresholds can pick requests by: `send{kind:read}.p95 < 1s`
    think_time: Pause | None = None  # the user's pause after this request; in no response time
    retry_stale: bool = False  # send again also what is not idempotent, when an idle connection turns out to be closed

    @model_validator(mode="after")
    def _one_method_and_body(self) -> Self:
        if sum(getattr(self, method) is not None for method in METHODS) != 1:
            raise ValueError(f"a request needs exactly one of {', '.join(METHODS)}")
        if sum(part is not None for part in (self.json_, self.body, self.form, self.multipart, self.file)) > 1:
            raise ValueError("a request has at most one of json, body, form, multipart, file")
        if not self.path.startswith(("/", "{{", "{%", "*")):
            raise ValueError(f"a path begins with /, not {self.path[:40]!r}; the host is the target's")
        return self

    @property
    def method(self) -> str:
        """The method's key: get, post, …."""
        return next(method for method in METHODS if getattr(self, method) is not None)

    @property
    def path(self) -> str:
        """The path, as a template."""
        return str(getattr(self, self.method))

    @property
    def retriable(self) -> bool:
        """Whether it may be sent again when an idle connection turns out to have been closed by the server."""
        return self.retry_stale or self.method in IDEMPOTENT

    @property
    def files(self) -> list[str]:
        """The files that its body is made of."""
        parts = [part.file for part in (self.multipart or {}).values() if isinstance(part, FilePart)]
        return [*parts, self.file] if self.file is not None else parts


class Group(PlanModel):
    """Requests that belong together; each iteration draws one group by weight."""

    name: Name
    weight: float = Field(default=1.0, gt=0)
    mode: Literal["sequence", "weighted"] = "sequence"
    requests: list[Request] = Field(min_length=1)


class Http(PlanModel):
    """The requests of a scenario and where they go: either `requests`, or `groups` of them."""

    target: str  # "service.port-name"
    headers: Headers = {}
    auth: Auth | None = None
    requests: list[Request] = []
    groups: list[Group] = []
    mode: Literal["sequence", "weighted"] = "sequence"  # all in order each iteration, or one drawn by weight
    connection: Literal["keep-alive", "per-request"] = "keep-alive"
    # Kept for an iteration or for a user's whole life; default: `iteration` where iterations have several requests.
    cookies: Literal["iteration", "vu"] | bool | None = None
    redirects: Annotated[Redirects, BeforeValidator(_as_redirects)] = Redirects()
    compression: bool = False  # ask for gzip and deflate
    tls: Tls | None = None  # given, TLS is spoken whatever the target's address says

    @model_validator(mode="after")
    def _requests_or_groups(self) -> Self:
        if bool(self.requests) == bool(self.groups):
            raise ValueError("http has either `requests` or `groups`, with at least one in it")
        return self

    @property
    def sequences(self) -> list[Group]:
        """The requests as groups, also where the plan has none."""
        return self.groups or [Group(name="all", mode=self.mode, requests=self.requests)]

    @property
    def all_requests(self) -> list[Request]:
        """Every request, of whatever group."""
        return [request for group in self.sequences for request in group.requests]

    @property
    def cookie_life(self) -> Literal["iteration", "vu"] | None:
        """How long cookies are kept; None: not at all."""
        if self.cookies is None:
            several = any(group.mode == "sequence" and len(group.requests) > 1 for group in self.sequences)
            return "iteration" if several else None
        if isinstance(self.cookies, bool):
            return "iteration" if self.cookies else None
        return self.cookies

    @property
    def notes(self) -> list[str]:
        """What whoever reads a result of these requests must be told."""
        if self.tls is not None and self.tls.insecure:
            return ["TLS certificates were not verified (`insecure: true`)"]
        return []
