"""HTTP/1.1: virtual users that take their iterations through requests, each over a connection of its own."""

import asyncio
import math
import time
from typing import TYPE_CHECKING

from shakedown.errors import LoadError
from shakedown.load.executors import draw_pause
from shakedown.load.http.connection import HttpAnswer, HttpConnection, TransportFault
from shakedown.load.http.cookies import Jar
from shakedown.load.http.decoding import decode
from shakedown.load.http.faults import ANSWERED, acknowledgement, fault_of
from shakedown.load.http.redirects import Origin, Redirected, Route, is_redirect
from shakedown.load.http.requests import Parts, PreparedRequest
from shakedown.records.ledger import LedgerNote
from shakedown.records.load import Outcome

if TYPE_CHECKING:
    from shakedown.load.http.driver import HttpDriver

__all__ = ["HttpVu"]

_PAUSES = 1000  # where the randomness of pauses begins among the parts of an iteration


class HttpVu:
    """A user with a connection of its own; see `vu.Vu`.

    ::

        begin ─▶ _send ─▶ (connect) ─▶ connection ─▶ _answered ─┬─▶ _end ─▶ (pause) ─▶ next request, or the iteration's end
                   ▲                                            │
                   └────── a redirect; a stale connection ──────┘
    """

    def __init__(self, number: int, driver: "HttpDriver") -> None:
        self.number = number
        self.busy = False
        self.deadline = math.inf
        self._driver, self._engine = driver, driver.engine
        self._connection: HttpConnection | None = None
        self._elsewhere: tuple[Origin, HttpConnection] | None = None  # where a redirect has led
        self._connecting: asyncio.Task[None] | None = None
        self._resting: asyncio.TimerHandle | None = None
        self._jar = Jar() if driver.cookie_life is not None else None
        self._names: dict[str, object] = {}
        self._steps: list[PreparedRequest] = []
        self._step = self._iteration = 0
        self._request: PreparedRequest
        self._due = self._sent = self._asked = 0.0
        self._warm_up = False
        self._note: LedgerNote | None = None
        self._noted = 0  # its number in the ledger
        self._data = b""
        self._parts: Parts | None = None
        self._route: Route | None = None
        self._head = False
        self._retried = False
        self._serial = 0  # of the request under way: a connection that was made for an earlier one is not wanted

    def begin(self, due: float, iteration: int, *, warm_up: bool) -> None:
        """Start an iteration that was due at `due` (monotonic)."""
        driver = self._driver
        self.busy = True
        self._due, self._warm_up = due, warm_up
        self._step, self._iteration = 0, iteration
        self._steps = driver.fixed or driver.steps(iteration)
        if driver.needs_names:
            if self._jar is not None and driver.cookie_life == "iteration":
                self._jar.clear()
            try:
                self._names = self._engine.context.names(iteration, self.number)
            except LoadError as error:
                self._request = self._steps[0]
                self._impossible(error)
                return
        self._send()

    # --------------------------------------------------------------------------------------------------------- asking
    def _send(self) -> None:
        request = self._request = self._steps[self._step]
        self._serial += 1
        self._note = None
        self._head = request.head
        if request.constant is not None and request.plain:
            self._data = request.constant
        else:
            try:
                self._prepare(request)
            except Exception as error:  # noqa: BLE001 - a template may fail in any way; none is the service's fault
                self._impossible(error)
                return
        self._retried = False
        self._sent = time.monotonic()
        if self._note is not None:
            engine = self._engine
            try:
                self._noted = engine.ledgers[request.ledger or ""].sent(self._note, engine.at(self._sent))
            except LoadError as error:  # nothing is sent that is not noted
                self._note = None
                self._impossible(error)
                return
        connection = self._connection
        if connection is not None and connection.usable:
            self._asked = self._sent
            self.deadline = self._sent + request.first_byte
            connection.send(self._data, head=request.head, keep_body=request.keeps_body)
        else:
            self._connect(self._driver.home)

    def _prepare(self, request: PreparedRequest) -> None:
        driver = self._driver
        if self._step and request.constant is None:
            self._engine.context.start(self._iteration, self._step)
        parts = self._parts = request.parts(self._names)
        self._note = parts.note
        home = driver.home
        cookies = self._jar.header(_host(home), _path(parts.path), secure=home.tls) if self._jar else ""
        self._data = request.assemble(parts, cookies) if cookies or request.constant is None else request.constant
        self._route = Route(driver.rules, home, parts.path, request.method) if driver.rules.max else None

    def _impossible(self, error: Exception) -> None:
        """The request cannot be made as the plan has it: nobody is asked, and the load ends."""
        text = str(error) if isinstance(error, LoadError) else f"{type(error).__name__}: {error}"
        hint = f"; {error.hint}" if isinstance(error, LoadError) and error.hint else ""
        self._engine.give_up(LoadError(f"the request `{self._request.name}` cannot be made: {text}{hint}"))
        self._sent = time.monotonic()
        self._end(Outcome.CANCELLED, self._sent, 0)

    def _connect(self, origin: Origin) -> None:
        now = time.monotonic()
        self.deadline = min(now + self._request.connect, self._sent + self._request.total)
        self._connecting = self._engine.loop.create_task(self._make_connection(self._serial, origin))

    async def _make_connection(self, serial: int, origin: Origin) -> None:
        driver = self._driver
        at_home = origin is driver.home
        fault: TransportFault | None = None
        try:
            name = (driver.server_name if at_home else None) or origin.host
            _, connection = await self._engine.loop.create_connection(
                lambda: HttpConnection(self._answered, driver.heads), origin.host, origin.port,
                ssl=driver.tls(at_home=at_home) if origin.tls else None, server_hostname=name if origin.tls else None,
            )  # fmt: skip
        except OSError as error:
            fault = fault_of(error, tls=origin.tls)
        except (ValueError, LoadError) as error:  # a name that is none (IDNA), certificates that cannot be read
            fault = TransportFault("dns" if isinstance(error, ValueError) else "local", str(error))
        else:
            if serial != self._serial or not self.busy:  # timed out or cancelled meanwhile
                connection.abort()
                return
            self._connecting = None
            if at_home:
                self._connection = connection
            else:
                self._elsewhere = (origin, connection)
            if connection.usable:
                self._ask(connection)
                return
            fault = TransportFault(*connection.why_lost)
        if serial == self._serial and self.busy:
            self._connecting = None
            self._answered(None, fault)

    def _ask(self, connection: HttpConnection) -> None:
        request = self._request
        self._asked = time.monotonic()
        self.deadline = min(self._asked + request.first_byte, self._sent + request.total)
        connection.send(self._data, head=self._head, keep_body=request.keeps_body)

    # -------------------------------------------------------------------------------------------------------- answers
    def _answered(self, answer: HttpAnswer | None, fault: TransportFault | None) -> None:
        now = time.monotonic()
        request = self._request
        if answer is None:
            assert fault is not None  # noqa: S101 - one of the two
            if self._is_stale(fault):
                self._again()
            else:
                self._end(Outcome.FAILED, now, 0, fault.kind, str(fault))
            return
        answer.latency = now - self._sent
        if not request.plain:
            self._judge(answer, now)
            return
        wrong = request.wrong(answer)
        if wrong is None:
            self._end(Outcome.OK, now, answer.size)
        else:
            self._wrong(answer, now, wrong)

    def _wrong(self, answer: HttpAnswer, now: float, wrong: str) -> None:
        kind = "status" if wrong.removeprefix("not ").lstrip().startswith("status") else "check"
        kept = " (of a body of which only the beginning was kept)" if kind == "check" and answer.truncated else ""
        text = f"HTTP {answer.status}: `{wrong}` does not hold{kept}"
        self._end(Outcome.FAILED, now, answer.size, kind, text, answer)

    def _judge(self, answer: HttpAnswer, now: float) -> None:
        """An answer that may lead elsewhere, or that something is taken from."""
        driver, request, jar = self._driver, self._request, self._jar
        if driver.per_request and self._connection is not None:
            self._connection.abort()
        fresh = False
        if jar is not None and answer.cookies:
            place, path = (self._route.origin, self._route.path) if self._route else (driver.home, self._path_sent())
            fresh = jar.take(answer.cookies, _host(place), _path(path))
        if self._route is not None and is_redirect(answer):
            try:
                self._follow(self._route, answer, fresh=fresh)
            except Redirected as problem:
                self._end(Outcome.FAILED, now, answer.size, "redirect", f"HTTP {answer.status}: {problem}")
            return
        if driver.compression and request.keeps_body and (damage := decode(answer)) is not None:
            self._end(Outcome.FAILED, now, answer.size, "protocol", damage)
            return
        try:
            wrong = request.wrong(answer, self._names)
        except Exception as error:  # noqa: BLE001 - a check's template may fail in any way
            self._impossible(error)
            return
        if wrong is not None:
            self._wrong(answer, now, wrong)
        elif (lacking := request.take(answer, self._names, jar)) is not None:
            self._end(Outcome.FAILED, now, answer.size, "extract", f"HTTP {answer.status}: {lacking}", answer)
        else:
            if request.marker is not None and not self._warm_up and request.marker.holds(answer):
                self._engine.recorder.degraded(request.name, self._due, now)
            self._end(Outcome.OK, now, answer.size)

    def _path_sent(self) -> str:
        return self._parts.path if self._parts is not None else "/"

    def _follow(self, route: Route, answer: HttpAnswer, *, fresh: bool) -> None:
        hop = route.follow(answer, new_cookies=fresh)
        assert self._parts is not None  # noqa: S101 - every request with a route was rendered
        cookies = self._jar.header(_host(hop.origin), _path(hop.path), secure=hop.origin.tls) if self._jar else ""
        self._data = self._request.onwards(
            self._parts, hop.method, hop.path, hop.origin,
            at_home=route.at_home, keeps_body=hop.keeps_body, cookies=cookies,
        )  # fmt: skip
        self._head = hop.method == "HEAD"
        connection = self._connection
        if not route.at_home:
            there, connection = self._elsewhere or (None, None)
            if connection is not None and there != hop.origin:
                connection.abort()
                connection = None
        # Next time round the loop: a service that sends us in circles must not deepen the stack.
        self._engine.loop.call_soon(self._onwards, self._serial, hop.origin, connection)

    def _onwards(self, serial: int, origin: Origin, connection: HttpConnection | None) -> None:
        if serial != self._serial or not self.busy:
            return
        if connection is not None and connection.usable:
            self._ask(connection)
        else:
            self._connect(origin)

    def _is_stale(self, fault: TransportFault) -> bool:
        """Whether a server closed an idle connection in the very moment in which a request was sent on it."""
        connection = self._connection
        return (
            connection is not None and connection.served > 0 and not connection.answering
            and fault.kind in ("reset", "closed") and self._request.retriable and not self._retried
            and (self._route is None or self._route.hops == 0)
        )  # fmt: skip

    def _again(self) -> None:
        self._retried = True
        self._connection = None
        self._engine.recorder.counts.reconnects += 1
        self._connect(self._driver.home)

    # -------------------------------------------------------------------------------------------------------- endings
    def time_out(self) -> None:
        """The request under way took too long, by one of its limits."""
        now, request = time.monotonic(), self._request
        until = self._sent + request.total
        if self._connecting is not None:
            kind, lacking, limit = "timeout-connect", "connection", request.connect
        elif not self._is_answering():
            kind, lacking, limit = "timeout-first-byte", "answer", request.first_byte
        elif now < until:  # the answer began in time, and has until then to end
            self.deadline = until
            return
        else:
            kind, lacking, limit = "timeout-total", "whole answer", request.total
        self._cut()
        limit = min(limit, request.total)
        self._end(Outcome.TIMED_OUT, now, 0, kind, f"no {lacking} within {limit:g} s")

    def _is_answering(self) -> bool:
        away = self._route is not None and not self._route.at_home
        connection = self._elsewhere[1] if away and self._elsewhere else self._connection
        return connection is not None and connection.answering

    def cancel(self) -> None:
        """The load is over: cut off what is under way."""
        if self._resting is not None:
            self._resting.cancel()
            self._resting = None
            self._finish(Outcome.CANCELLED if self._step + 1 < len(self._steps) else Outcome.OK)
            return
        self._cut()
        self._end(Outcome.CANCELLED, time.monotonic(), 0)

    def close(self) -> None:
        """Close the connections."""
        self._cut()

    def _cut(self) -> None:
        if self._connecting is not None:
            self._connecting.cancel()
            self._connecting = None
        if self._connection is not None:
            self._connection.abort()
            self._connection = None
        if self._elsewhere is not None:
            self._elsewhere[1].abort()
            self._elsewhere = None

    def _end(
        self, outcome: Outcome, now: float, size: int, kind: str = "", text: str = "", answer: HttpAnswer | None = None
    ) -> None:
        request = self._request
        # Only an iteration's first request has an intended start; the later ones are due when the one before ended.
        if outcome is Outcome.OK:
            request.held[self._warm_up].add(self._due, self._sent, now, size)
        else:
            recorder = self._engine.recorder
            cell = recorder.cell(request.name, outcome, answered=kind in ANSWERED, warm_up=self._warm_up)
            cell.add(self._due, self._sent, now, size)
            if kind:
                example = self._driver.example(kind, request.name, text, answer, self._names)
                recorder.error(kind, request.name, self._engine.at(now), example)
        if self._note is not None:
            ledger = self._engine.ledgers[request.ledger or ""]
            known = acknowledgement(
                outcome, kind, answer.status if answer is not None else None, refusal=request.refuses(answer)
            )
            ledger.ended(self._noted, self._engine.at(now), known)
        if outcome is not Outcome.OK:
            self._finish(outcome)
        elif request.pause is not None:
            draw = self._engine.context.start(self._iteration, _PAUSES + self._step)
            self.deadline = math.inf
            self._resting = self._engine.loop.call_later(draw_pause(request.pause, draw), self._rested)
        elif self._step + 1 < len(self._steps):
            self._next(now)
        else:
            self._finish(outcome)

    def _rested(self) -> None:
        self._resting = None
        if self._step + 1 < len(self._steps):
            self._next(time.monotonic())
        else:
            self._finish(Outcome.OK)

    def _next(self, now: float) -> None:
        self._step += 1
        self._due = now
        self._send()

    def _finish(self, outcome: Outcome) -> None:
        self.busy, self.deadline = False, math.inf
        self._engine.iteration_ended(self, outcome)


def _path(target: str) -> str:
    return target.partition("?")[0]


def _host(origin: Origin) -> str:
    """The host's name as requests give it, without the port."""
    name = origin.name
    return (name.partition("]")[0].lstrip("[") if name.startswith("[") else name.partition(":")[0]).lower()
