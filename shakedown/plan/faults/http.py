"""Faults of HTTP answers: what chooses the requests, and what becomes of the answers."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from shakedown.plan.faults.base import FaultProblem
from shakedown.plan.faults.network import OnConnections
from shakedown.plan.faults.tls import Tls
from shakedown.plan.values import Duration, Share, Size

__all__ = [
    "HttpAbort", "HttpBody", "HttpContentType", "HttpDelay", "HttpFault", "HttpHang", "HttpHeader", "HttpSlowDrip", "HttpStatus",
    "HttpTruncate", "OnRequests", "glob_pattern",
]  # fmt: skip

TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - RFC 9110, 5.6.2: a name on the wire, no secret
FRAMING = frozenset({"content-length", "transfer-encoding", "connection", "upgrade", "trailer"})
LONGEST_TEXT = 64 * 1024

Method = Annotated[str, Field(pattern=rf"^{TOKEN}$", max_length=32)]
HeaderName = Annotated[str, Field(pattern=rf"^{TOKEN}$", max_length=128)]
HeaderValue = Annotated[str, Field(pattern=r"^[\t\x20-\x7e\xa0-\xff]*$", max_length=4096)]


def _regex(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from None
    return text


Regex = Annotated[str, AfterValidator(_regex), Field(max_length=1000)]


def glob_pattern(glob: str) -> str:
    """The regular expression of a path with wildcards: `*` is anything but a slash, `**` anything, `?` one character."""
    parts = re.split(r"(\*\*|\*|\?)", glob)
    meanings = {"**": ".*", "*": "[^/]*", "?": "[^/]"}
    return "".join(meanings.get(part) or re.escape(part) for part in parts)


class OnRequests(OnConnections):
    """A fault of the answers to some HTTP/1 requests; all others pass byte for byte."""

    methods: list[Method] = Field(default=[], description="of the requests: [POST, PUT]; default: any")
    path: str = Field(
        default="",
        max_length=1000,
        description="of the requests, without the query: /pay/*, where * is anything but a slash and ** anything; default: any",
    )
    path_regex: Regex = Field(default="", description="instead of `path`: a regular expression for the whole path")
    headers: dict[HeaderName, str] = Field(
        default={}, description="that a request must have, with wildcards as in `path`: {x-tenant: blue*}"
    )
    share: Share = Field(
        default=1.0, gt=0, le=1, description="of the requests that match, 0 to 100%; drawn for each from the run's seed"
    )
    first: int | None = Field(default=None, ge=1, le=1_000_000, description="only the first so many that match")
    every: int | None = Field(
        default=None, ge=2, le=1_000_000, description="only every so many-th that matches: with 3 the third, sixth …"
    )
    tls: Tls | None = Field(
        default=None,
        description="`{certificate, key}` that the proxy shows to clients that speak TLS, so that it can read requests "
        "(docs/proxy.md); default: a stand-in's own, else none: requests in TLS pass unread",
    )

    @model_validator(mode="after")
    def _one_choice(self) -> Self:
        if sum((self.share < 1, self.first is not None, self.every is not None)) > 1:
            raise ValueError("give one of `share`, `first`, `every`")
        if self.path and self.path_regex:
            raise ValueError("give one of `path`, `path_regex`")
        if self.path and not self.path.startswith(("/", "*")):
            raise ValueError(f"`path` begins with a slash: /{self.path}")
        return self

    @property
    def chosen(self) -> str:
        """The requests that match, for people: `POST /pay`."""
        words = [",".join(self.methods), self.path or (f"~{self.path_regex}" if self.path_regex else "")]
        words += [f"{name}: {value}" for name, value in self.headers.items()]
        return " ".join(word for word in words if word)

    def claims(self) -> frozenset[str]:
        """Faults of one type go together where they differ in direction, peers, or requests."""
        return frozenset(f"{claim}:{self.chosen}" if self.chosen else claim for claim in super().claims())

    def file_problems(self, base: Path) -> Iterator[FaultProblem]:
        """The certificate and its key are there, belong together, and are valid."""
        yield from super().file_problems(base)
        if self.tls is not None:
            yield from self.tls.problems(base)


class _Replaced(OnRequests):
    """A fault in whose place the service's answer does not come."""

    forward: bool = Field(
        default=False,
        description="whether the service gets the request all the same, and only its answer is lost: true or false",
    )


class HttpStatus(_Replaced):
    """Requests are answered with a status: 429 with Retry-After, 500, 503."""

    type: Literal["http-status"] = "http-status"
    status: int = Field(ge=200, le=599, description="200 to 599")
    answer_headers: dict[HeaderName, HeaderValue] = Field(
        default={}, description="of the answer: {Retry-After: '2'}; Content-Length is added"
    )
    body: str = Field(default="", max_length=LONGEST_TEXT, description="of the answer, up to 64 KiB in UTF-8")

    @model_validator(mode="after")
    def _no_framing(self) -> Self:
        _refuse_framing("answer_headers", self.answer_headers)
        return self


class HttpAbort(_Replaced):
    """Requests get no answer: the connection ends instead."""

    type: Literal["http-abort"] = "http-abort"
    how: Literal["reset", "close"] = Field(default="reset", description="by RST, or in good order")


class HttpHang(_Replaced):
    """Requests get no answer and the connection stays, until the client gives up or the fault ends, which closes it."""

    type: Literal["http-hang"] = "http-hang"


class HttpDelay(OnRequests):
    """Answers come later: before the headers, or in the middle of the body."""

    type: Literal["http-delay"] = "http-delay"
    delay: Duration = Field(gt=0, le=600, description="how much later; up to 10 minutes")
    jitter: Duration = Field(default=0.0, ge=0, le=600, description="how far the delay may be off, either way; uniform")
    at: Literal["headers", "body"] = Field(
        default="headers", description="before the headers, or in mid-body (chunks: after the first byte)"
    )

    @model_validator(mode="after")
    def _jitter_within(self) -> Self:
        if self.jitter > self.delay:
            raise ValueError("`jitter` is at most `delay`: nothing arrives before it was sent")
        return self


class HttpTruncate(OnRequests):
    """Bodies end too early, with the full Content-Length or as chunks without an end, and then the connection."""

    type: Literal["http-truncate"] = "http-truncate"
    keep: Size | None = Field(
        default=None,
        ge=0,
        description="bytes of the body that arrive; a body that is no longer passes; default: half, of chunks all but the last",
    )


class HttpBody(OnRequests):
    """Bodies are others, or have another text in them; Content-Length is right, an ETag or a signature no longer."""

    type: Literal["http-body"] = "http-body"
    body: str | None = Field(
        default=None, max_length=LONGEST_TEXT, description="instead of the service's, up to 64 KiB in UTF-8"
    )
    text: str = Field(
        default="", max_length=1000, description="instead of `body`: what is replaced, wherever it stands"
    )
    regex: Regex = Field(default="", description="instead of `text`: a regular expression")
    replacement: str = Field(
        default="",
        max_length=LONGEST_TEXT,
        description="for `text` or `regex` (there with \\1 for groups); bodies up to 1 MiB, plain or gzip",
    )

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if sum((self.body is not None, bool(self.text), bool(self.regex))) != 1:
            raise ValueError("give exactly one of `body`, `text`, `regex`")
        if self.regex:
            try:
                re.sub(self.regex, self.replacement, "")
            except (re.error, IndexError) as error:
                raise ValueError(f"`replacement` does not fit `regex`: {error}") from None
        elif self.body is not None and self.replacement:
            raise ValueError("`replacement` goes with `text` or `regex`")
        return self


class HttpHeader(OnRequests):
    """Answers' headers are set or removed; the rest of them stays byte for byte."""

    type: Literal["http-header"] = "http-header"
    set: dict[HeaderName, HeaderValue] = Field(
        default={}, description="in place of all of that name: {Cache-Control: no-store}"
    )
    remove: list[HeaderName] = Field(default=[], description="names of those that are left out")

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.set and not self.remove:
            raise ValueError("give `set` or `remove`")
        _refuse_framing("set", self.set)
        _refuse_framing("remove", self.remove)
        return self


class HttpContentType(OnRequests):
    """Answers say that their body is of another type."""

    type: Literal["http-content-type"] = "http-content-type"
    content_type: HeaderValue = Field(default="text/html", description="what Content-Type says instead")


class HttpSlowDrip(OnRequests):
    """Bodies arrive in drips, with a pause before each but the first."""

    type: Literal["http-slow-drip"] = "http-slow-drip"
    drip: Size = Field(default=16, ge=1, le=65536, description="bytes of a drip; 1 B to 64 KiB")
    pause: Duration = Field(default=0.1, ge=0.005, le=60, description="before each drip; 5 ms to 1 minute")


def _refuse_framing(field: str, names: "dict[str, str] | list[str]") -> None:
    for name in names:
        if name.lower() in FRAMING:
            raise ValueError(
                f"`{field}` may not have {name}, which says where messages end; http-truncate and http-abort break that"
            )


HttpFault = (
    HttpStatus
    | HttpAbort
    | HttpHang
    | HttpDelay
    | HttpTruncate
    | HttpBody
    | HttpHeader
    | HttpContentType
    | HttpSlowDrip
)
