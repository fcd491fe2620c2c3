"""Requests compiled once: what is constant is made bytes beforehand, what is a template is rendered per iteration."""

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from shakedown.load.http.bodies import Body, Names, compile_text
from shakedown.load.http.connection import HttpAnswer
from shakedown.load.http.cookies import Jar
from shakedown.load.http.redirects import Origin
from shakedown.load.notes import note_of
from shakedown.load.recorder import Recorder
from shakedown.load.spec import LoadSpec
from shakedown.plan.checks import Check, Checks, compile_checks, parse_check
from shakedown.plan.extracts import Source, parse_source
from shakedown.plan.requests import Auth, Request
from shakedown.plan.secrets import looks_secret
from shakedown.plan.templates import is_constant
from shakedown.records.ledger import LedgerNote
from shakedown.records.load import Outcome

__all__ = ["Parts", "PreparedRequest", "home_of", "prepare"]

Lines = Callable[[Names], str]
_ODD = re.compile(r"[^!-~]+")
_MUST_HAVE_BODY = frozenset({"POST", "PUT", "PATCH"})


@dataclass(frozen=True, slots=True)
class Parts:
    """A request, rendered.

    Attributes:
        lines: header fields that go to anybody, each with its line's end.
        secret: those that go to the target alone.
        about: those that say something of the body.
        cookies: what the plan itself gives as cookies.
        note: for the ledger.
    """

    path: str
    lines: str
    secret: str
    about: str
    cookies: str
    body: bytes
    note: LedgerNote | None


class PreparedRequest:
    """One request of a scenario, ready to be sent.

    Attributes:
        constant: its bytes, when no part of it is a template and no ledger notes it.
        head: whether it is a HEAD request.
        held: where those that went well are put: [measured, warm-up].
        keeps_body: whether its checks or extractions look at the body.
        marker: what is so of degraded answers, where the plan says that there are some.
        plain: whether its answer is judged and forgotten: nothing is taken from it, and it leads nowhere.
        total, first_byte, connect: seconds to wait; infinite where there is no such limit.
    """

    def __init__(self, request: Request, spec: LoadSpec, recorder: Recorder) -> None:
        base, http = Path(spec.base), spec.work.http
        self.name = request.name
        self.total = request.timeout.total
        self.first_byte = min(request.timeout.first_byte or self.total, self.total)
        self.connect = min(request.timeout.connect or self.total, self.total)
        self.ledger = request.ledger
        self.weight = request.weight
        self.pause = request.think_time
        self.retriable = request.retriable
        self.method = request.method.upper()
        self.head = self.method == "HEAD"
        self.held = [recorder.cell(request.name, Outcome.OK, warm_up=warm_up) for warm_up in (False, True)]
        self.checks: Checks = compile_checks(request.checks, base)
        self._of_head_alone = self.checks.of_head_alone
        self._extract: list[tuple[str, Source]] = [(name, parse_source(text)) for name, text in request.extract.items()]
        self.marker: Check | None = parse_check(request.degraded, base) if request.degraded else None
        self._refusal: Check | None = parse_check(request.refused, base) if request.refused else None
        told = [part for part in (self.marker, self._refusal, *(source for _, source in self._extract)) if part]
        self.keeps_body = self.checks.needs_body or any(part.needs_body for part in told)
        self.plain = not (
            self._extract or self.marker or self.checks.templated or http.redirects.max or http.cookie_life
            or http.connection == "per-request" or (http.compression and self.keeps_body)
        )  # fmt: skip
        self._body = Body(request, base)
        removes = self.method == "DELETE" if request.removes is None else request.removes
        self._note = note_of(request, "body", lambda value: value["id"], removes=removes)
        headers = {**http.headers, **request.headers}
        lower = {name.lower(): name for name in headers}
        usual = {"Host": home_of(spec).name, "User-Agent": "shakedown", "Accept": "*/*"}
        headers |= {name: value for name, value in usual.items() if name.lower() not in lower}
        self._host = headers.pop(lower.get("host", "Host"))
        self._cookies = headers.pop(lower["cookie"]) if "cookie" in lower else ""
        if http.compression and "accept-encoding" not in lower:
            headers["Accept-Encoding"] = "gzip, deflate"
        if http.connection == "per-request":
            headers["Connection"] = "close"
        about = {name: headers.pop(name) for name in list(headers) if name.lower() == "content-type"}
        if self._body.content_type is not None and not about:
            about = {"Content-Type": self._body.content_type}
        about = {name: value for name, value in about.items() if value}  # an empty one says: none
        secret = {name: headers.pop(name) for name in list(headers) if looks_secret(name)}
        auth = request.auth or http.auth
        self._lines, self._about, own = _lines(headers), _lines(about), _lines(secret)
        proof, self._query = _proof(auth) if auth is not None else (_nothing, None)
        self._secret: Lines = lambda names: own(names) + proof(names)
        self._path, self._cookie_text = compile_text(request.path), compile_text(self._cookies)
        texts = [
            request.path,
            *headers.values(),
            *about.values(),
            *secret.values(),
            self._cookies,
            *self._body.templates,
        ]
        texts += auth.texts if auth is not None else []
        self.constant: bytes | None = None
        self._fixed: Parts | None = None
        if request.ledger is None and all(map(is_constant, texts)):
            self._fixed = self.parts({})
            self.constant = self.assemble(self._fixed)

    # --------------------------------------------------------------------------------------------------------- asking
    def parts(self, names: Names) -> Parts:
        """The request, rendered; raises whatever a template does, and ValueError for what is no request."""
        if self._fixed is not None:
            return self._fixed
        path = self._path(names)
        if _ODD.search(path):
            path = _ODD.sub(lambda match: quote(match[0]), path)
        path = path.partition("#")[0]
        if not path.startswith("/") and path != "*":
            raise ValueError(f"a path begins with /, not {path[:40]!r}")
        if self._query is not None:
            path += ("&" if "?" in path else "?") + self._query(names)
        value, body = self._body.render(names)
        note = self._note(names, value, body) if self._note is not None else None
        return Parts(
            path, self._lines(names), self._secret(names), self._about(names), self._cookie_text(names), body, note
        )

    def assemble(self, parts: Parts, cookies: str = "") -> bytes:
        """The bytes of a request to the target.

        Args:
            cookies: what the user's jar adds.
        """
        cookies = "; ".join(filter(None, (parts.cookies, cookies)))
        return _whole(self.method, parts.path, self._host, f"{parts.lines}{parts.secret}", parts, cookies)

    def onwards(
        self, parts: Parts, method: str, path: str, origin: Origin, *, at_home: bool, keeps_body: bool, cookies: str
    ) -> bytes:
        """The bytes of a request that a redirect asks for: another host is not told who asks."""
        if at_home:
            cookies = "; ".join(filter(None, (parts.cookies, cookies)))
        lines = f"{parts.lines}{parts.secret}" if at_home else parts.lines
        host = self._host if at_home else origin.name
        if not keeps_body:
            parts = Parts(path, "", "", "", "", b"", None)
        return _whole(method, path, host, lines, parts, cookies)

    def render(self, names: Names) -> tuple[bytes, str | None]:
        """The request's bytes and its ledger key (None without a ledger)."""
        parts = self.parts(names)
        return self.assemble(parts), parts.note.key if parts.note is not None else None

    # -------------------------------------------------------------------------------------------------------- judging
    def wrong(self, answer: HttpAnswer, names: Names | None = None) -> str | None:
        """The first check that does not hold; None when all do."""
        head = answer.head
        if head is None or not self._of_head_alone:
            return self.checks.failed(answer, names)
        if self not in head.judged:
            head.judged[self] = self.checks.failed(answer)
        return head.judged[self]

    def refuses(self, answer: HttpAnswer | None) -> bool:
        """Whether the plan says that a failed answer like this one keeps nothing."""
        return self._refusal is not None and answer is not None and self._refusal.holds(answer)

    def take(self, answer: HttpAnswer, names: Names, jar: Jar | None) -> str | None:
        """Put what is extracted among the names; the text of the first source that gives nothing, None when all do."""
        for name, source in self._extract:
            value = source.find(answer)
            if value is None and source.cookie is not None and jar is not None:
                value = jar.value(source.cookie)
            if value is None:
                return f"nothing for `{name}` at `{source.text}`"
            names[name] = value
        return None


def prepare(spec: LoadSpec, recorder: Recorder) -> list[PreparedRequest]:
    """Every request of a load, compiled.

    Raises:
        LoadError: a file that one of them sends cannot be read.
    """
    return [PreparedRequest(request, spec, recorder) for request in spec.work.http.all_requests]


def home_of(spec: LoadSpec) -> Origin:
    """The target, by the name that requests call it."""
    target, http = spec.address, spec.work.http
    host = f"[{target.host}]" if ":" in target.host else target.host
    given = next((text for name, text in http.headers.items() if name.lower() == "host" and is_constant(text)), None)
    return Origin(target.host, target.port, target.tls or http.tls is not None, given or f"{host}:{target.port}")


def _whole(method: str, path: str, host: str, lines: str, parts: Parts, cookies: str) -> bytes:
    length = f"Content-Length: {len(parts.body)}\r\n" if parts.body or method in _MUST_HAVE_BODY else ""
    about = parts.about if length else ""
    jar = f"Cookie: {cookies}\r\n" if cookies else ""
    return f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n{lines}{jar}{about}{length}\r\n".encode() + parts.body


def _nothing(_: Names) -> str:
    return ""


def _one_line(text: str) -> str:
    if "\n" in text or "\r" in text or "\0" in text:
        raise ValueError("a header field holds a line break")
    return text


def _lines(headers: dict[str, str]) -> Lines:
    """Header fields as a function of the names; what is constant is one text."""
    fixed = "".join(f"{name}: {value}\r\n" for name, value in headers.items() if is_constant(value))
    moving = [(name, compile_text(value)) for name, value in headers.items() if not is_constant(value)]
    if not moving:
        return lambda _: fixed
    return lambda names: fixed + "".join(f"{name}: {_one_line(render(names))}\r\n" for name, render in moving)


def _proof(auth: Auth) -> tuple[Lines, Lines | None]:
    """What says who asks: a header field's line, or a part of the query."""
    if auth.basic is not None:
        user, word = compile_text(auth.basic.username), compile_text(auth.basic.password)

        def basic(names: Names) -> str:
            return f"Authorization: Basic {base64.b64encode(f'{user(names)}:{word(names)}'.encode()).decode()}\r\n"

        return basic, None
    if auth.bearer is not None:
        token = compile_text(auth.bearer)
        return lambda names: f"Authorization: Bearer {_one_line(token(names))}\r\n", None
    assert auth.api_key is not None  # noqa: S101 - exactly one of the three, says the model
    key = auth.api_key
    value = compile_text(key.value)
    if key.header is not None:
        return lambda names: f"{key.header}: {_one_line(value(names))}\r\n", None
    name = quote(key.query or "", safe="")
    return _nothing, lambda names: f"{name}={quote(value(names), safe='')}"
