"""HTTP/2, and HTTP through proxies, by httpx: the same requests, checks, cookies and redirects as over HTTP/1.1.

Its ceiling is far lower than that of the HTTP/1.1 engine; the scenario's notes say so. Each user has a connection of its
own, so that latencies mean the same: requests of several users never share one.
"""

import asyncio
import time
from typing import TYPE_CHECKING

import httpx

from shakedown.errors import LoadError
from shakedown.load.drivers.users import AsyncDriver, AsyncVu, Failure, Iteration, Running
from shakedown.load.executors import draw_pause
from shakedown.load.http import HttpDriver
from shakedown.load.http.connection import BODY_LIMIT, HttpAnswer
from shakedown.load.http.cookies import Jar
from shakedown.load.http.decoding import decode
from shakedown.load.http.faults import ANSWERED, acknowledgement, fault_of
from shakedown.load.http.redirects import Origin, Redirected, Route, is_redirect
from shakedown.load.http.requests import Parts, PreparedRequest
from shakedown.plan.drivers import Via
from shakedown.records.ledger import Acknowledgement
from shakedown.records.load import Outcome

if TYPE_CHECKING:
    from shakedown.load.engine import Engine

__all__ = ["HttpxDriver"]

_PAUSES = 1000  # where the randomness of pauses begins among the parts of an iteration, as in the HTTP/1.1 driver
# What belongs to one connection of HTTP/1.1, and has no place in HTTP/2 (RFC 9113, 8.2.2).
_OF_CONNECTION = frozenset({"connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"})


class HttpxDriver(AsyncDriver):
    """The requests of the HTTP/1.1 driver, sent another way."""

    def __init__(self, engine: "Engine", via: Via) -> None:
        super().__init__(engine)
        self.http = HttpDriver(engine)
        self.via = via

    async def open(self) -> None:
        """Load what clients need, and read the certificates: no request should seem to take that long."""
        await self.client().aclose()

    def vu(self, number: int) -> "HttpxVu":
        """A new user."""
        return HttpxVu(number, self)

    def client(self) -> httpx.AsyncClient:
        """One user's client: it sends what it is given, once."""
        second = self.via.http_version == 2
        return httpx.AsyncClient(  # the user's own deadlines end what takes too long
            http1=not second, http2=second, proxy=self.via.proxy, trust_env=False, timeout=httpx.Timeout(None), follow_redirects=False,
            verify=self.http.tls(at_home=self.http.home.tls),
        )  # fmt: skip


class HttpxVu(AsyncVu):
    """A user with a client of its own."""

    driver: HttpxDriver

    def __init__(self, number: int, driver: HttpxDriver) -> None:
        super().__init__(number, driver)
        self._client: httpx.AsyncClient | None = None
        self._jar = Jar() if driver.http.cookie_life is not None else None

    async def iterate(self, iteration: Iteration) -> None:
        """The requests of one iteration."""
        http, context = self.driver.http, self.driver.engine.context
        if self._jar is not None and http.cookie_life == "iteration":
            self._jar.clear()
        steps = http.fixed or http.steps(iteration.number)
        for number, request in enumerate(steps):
            context.start(iteration.number, number)
            try:
                parts = request.parts(iteration.names)
            except Exception as error:  # a template may fail in any way; none is the service's fault
                raise LoadError(
                    f"the request `{request.name}` cannot be made: {type(error).__name__}: {error}"
                ) from error
            running = iteration.start(request.name, request.total, ledger=request.ledger, note=parts.note)
            try:
                size = await self._perform(request, parts, running, iteration)
            except Failure as failure:
                iteration.fail(running, failure)
                return
            iteration.succeed(running, size)
            if request.pause is not None and number + 1 < len(steps):
                await asyncio.sleep(draw_pause(request.pause, context.start(iteration.number, _PAUSES + number)))
                iteration.last = time.monotonic()

    # --------------------------------------------------------------------------------------------------------- asking
    async def _perform(self, request: PreparedRequest, parts: Parts, running: Running, iteration: Iteration) -> int:
        """One request with its redirects, judged; the size of the last answer's body."""
        http = self.driver.http
        origin, path = http.home, parts.path
        data = request.assemble(parts, self._cookies(origin, path))
        route = Route(http.rules, http.home, path, request.method) if http.rules.max else None
        while True:
            answer = await self._exchange(request, data, origin, running, iteration)
            fresh = bool(self._jar is not None and answer.cookies) and self._take(answer, origin, path)
            if route is None or not is_redirect(answer):
                break
            try:
                hop = route.follow(answer, new_cookies=fresh)
            except Redirected as problem:
                raise _failed("redirect", f"HTTP {answer.status}: {problem}") from None
            origin, path = hop.origin, hop.path
            data = request.onwards(
                parts, hop.method, path, origin, at_home=route.at_home, keeps_body=hop.keeps_body,
                cookies=self._cookies(origin, path),
            )  # fmt: skip
        answer.latency = time.monotonic() - running.begun
        if http.compression and request.keeps_body and (damage := decode(answer)) is not None:
            raise _failed("protocol", damage)
        self._judge(request, answer, iteration)
        if request.marker is not None and not iteration.warm_up and request.marker.holds(answer):
            self.driver.engine.recorder.degraded(request.name, running.due, time.monotonic())
        return answer.size

    def _judge(self, request: PreparedRequest, answer: HttpAnswer, iteration: Iteration) -> None:
        names = iteration.names
        try:
            wrong = request.wrong(answer, names)
        except Exception as error:  # a check's template may fail in any way
            raise LoadError(f"a check of `{request.name}` cannot be made: {error}") from error
        if wrong is not None:
            kind = "status" if wrong.removeprefix("not ").lstrip().startswith("status") else "check"
            text = f"HTTP {answer.status}: `{wrong}` does not hold"
            example = self.driver.http.example(kind, request.name, text, answer, names)
            raise _failed(kind, example, answer.status, refusal=request.refuses(answer))
        if (lacking := request.take(answer, names, self._jar)) is not None:
            text = f"HTTP {answer.status}: {lacking}"
            raise _failed("extract", self.driver.http.example("extract", request.name, text, answer, names))

    async def _exchange(
        self, request: PreparedRequest, data: bytes, origin: Origin, running: Running, iteration: Iteration
    ) -> HttpAnswer:
        """The bytes of an HTTP/1.1 request, sent as httpx does, and the answer."""
        until = running.begun + request.total

        async def trace(event: str, _info: object) -> None:
            now = time.monotonic()
            if event == "connection.connect_tcp.started":
                iteration.now_waits_for(running, "connect", request.connect, min(now + request.connect, until))
            elif event.endswith("send_request_headers.started"):
                iteration.now_waits_for(running, "first-byte", request.first_byte, min(now + request.first_byte, until))

        head, _, body = data.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        method, path, _version = first.split(" ")
        fields = [line.split(": ", 1) for line in lines]
        second = self.driver.via.http_version == 2
        made = httpx.Request(
            method,
            httpx.URL(
                scheme="https" if origin.tls else "http", host=origin.host, port=origin.port, raw_path=path.encode()
            ),
            headers=[(name, value) for name, value in fields if not (second and name.lower() in _OF_CONNECTION)],
            content=body,
            extensions={"trace": trace, **self._server_name(origin)},
        )
        client, whole = self._client or self.driver.client(), False
        self._client = client
        try:
            response = await client.send(made, stream=True, auth=None)
            iteration.now_waits_for(running, "total", request.total, until)
            answer = await _read(response, keep=request.keeps_body)
            whole = not self.driver.http.per_request
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise _of_httpx(error, tls=origin.tls) from error
        finally:
            if not whole:
                self._client = None if self._client is client else self._client
                self._let_go(client)
        return answer

    def _server_name(self, origin: Origin) -> dict[str, str]:
        name = self.driver.http.server_name if origin is self.driver.http.home else None
        return {"sni_hostname": name} if name is not None else {}

    # -------------------------------------------------------------------------------------------------------- cookies
    def _cookies(self, origin: Origin, path: str) -> str:
        return self._jar.header(_host(origin), path.partition("?")[0], secure=origin.tls) if self._jar else ""

    def _take(self, answer: HttpAnswer, origin: Origin, path: str) -> bool:
        assert self._jar is not None  # noqa: S101 - whoever calls looked
        return self._jar.take(answer.cookies, _host(origin), path.partition("?")[0])

    # -------------------------------------------------------------------------------------------------------- endings
    def _let_go(self, client: httpx.AsyncClient) -> None:
        self.driver.task(self.driver.tidy(client.aclose()))

    def abandon(self) -> None:
        """The task that was cut off closes its client itself."""
        self._client = None

    def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            self._let_go(self._client)
            self._client = None


async def _read(response: httpx.Response, *, keep: bool) -> HttpAnswer:
    chunks: list[bytes] = []
    size = kept = 0
    try:
        async for chunk in response.aiter_raw():
            size += len(chunk)
            if keep and kept < BODY_LIMIT:
                chunks.append(chunk)
                kept += len(chunk)
    finally:
        await response.aclose()
    return HttpAnswer(
        status=response.status_code,
        headers={name.lower(): value for name, value in response.headers.multi_items()},
        cookies=tuple(response.headers.get_list("set-cookie")),
        body=b"".join(chunks)[:BODY_LIMIT],
        size=size,
        truncated=keep and size > BODY_LIMIT,
    )


def _failed(kind: str, text: str, status: int | None = None, *, refusal: bool = False) -> Failure:
    refused = acknowledgement(Outcome.FAILED, kind, status, refusal=refusal) is Acknowledgement.REFUSED
    return Failure(kind, text, answered=kind in ANSWERED, undone=refused)


def _of_httpx(error: Exception, *, tls: bool) -> Failure:
    """What went wrong below the answer, named as the HTTP/1.1 driver names it."""
    text = str(error) or type(error).__name__
    cause: OSError | None = None  # the innermost: what stands around it says no more than that it failed
    inner: BaseException | None = error
    while inner is not None:
        cause = inner if isinstance(inner, OSError) else cause
        inner = inner.__cause__ or inner.__context__
    match error:
        case httpx.ProxyError():
            return _failed("proxy", text)
        case httpx.ConnectError():
            return _failed(fault_of(cause, tls=tls).kind if cause is not None else "connect", text)
        case httpx.RemoteProtocolError() if "disconnect" in text or "ConnectionTerminated" in text:
            return _failed("closed", text)
        case httpx.NetworkError():
            return _failed("reset", text)
        case OSError():
            return _failed(fault_of(error, tls=tls).kind, text)
    return _failed("protocol", text)


def _host(origin: Origin) -> str:
    """The host's name as requests give it, without the port."""
    name = origin.name
    return (name.partition("]")[0].lstrip("[") if name.startswith("[") else name.partition(":")[0]).lower()
