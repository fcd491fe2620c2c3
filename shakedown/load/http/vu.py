"""HTTP/1.1: virtual users that take their iterations through requests, each over a connection of its own."""

import asyncio
import errno
import math
import ssl
import time
from typing import TYPE_CHECKING

from shakedown.errors import LoadError
from shakedown.load.http.connection import Heads, HttpAnswer, HttpConnection, TransportFault
from shakedown.load.http.requests import PreparedRequest, prepare
from shakedown.records.ledger import Acknowledgement
from shakedown.records.load import Outcome

if TYPE_CHECKING:
    from shakedown.load.engine import Engine

__all__ = ["HttpDriver"]

# What this machine, not the service, has run out of.
OWN_LIMITS = frozenset({errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL, errno.ENOBUFS, errno.ENOMEM})


class HttpDriver:
    """Requests compiled once, and the users that send them."""

    def __init__(self, engine: "Engine") -> None:
        self.engine = engine
        self.target = engine.spec.address
        self.tls = ssl.create_default_context() if self.target.tls else None
        self.heads = Heads()
        self._requests = prepare(engine.spec, engine.recorder)
        self._weights = [request.weight for request in self._requests]
        self._weighted = engine.spec.work.http.mode == "weighted"
        self.needs_names = any(request.constant is None for request in self._requests)

    async def open(self) -> None:
        """Connections are made by each user when it first needs one."""

    def vu(self, number: int) -> "HttpVu":
        """A new user."""
        return HttpVu(number, self)

    def steps(self) -> list[PreparedRequest]:
        """The requests of one iteration."""
        if self._weighted:
            return [self._requests[self.engine.context.draw(self._weights)]]
        return self._requests

    async def close(self) -> None:
        """Each user closes its own connection."""


class HttpVu:
    """A user with a connection of its own; see `vu.Vu`."""

    def __init__(self, number: int, driver: HttpDriver) -> None:
        self.number = number
        self.busy = False
        self.deadline = math.inf
        self._driver, self._engine = driver, driver.engine
        self._connection: HttpConnection | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._names: dict[str, object] = {}
        self._steps: list[PreparedRequest] = []
        self._step = 0
        self._request: PreparedRequest
        self._due = self._sent = 0.0
        self._warm_up = False
        self._key: str | None = None
        self._data = b""
        self._serial = 0  # of the request under way: a connection that was made for an earlier one is not wanted

    def begin(self, due: float, iteration: int, *, warm_up: bool) -> None:
        """Start an iteration that was due at `due` (monotonic)."""
        self.busy = True
        self._steps, self._step = self._driver.steps(), 0
        if self._driver.needs_names:
            self._names = self._engine.context.names(iteration, self.number)
        self._due, self._warm_up = due, warm_up
        self._send()

    def _send(self) -> None:
        engine = self._engine
        request = self._request = self._steps[self._step]
        self._serial += 1
        self._key = None
        if request.constant is not None:
            self._data = request.constant
        else:
            try:
                self._data, self._key = request.render(self._names)
            except Exception as error:  # noqa: BLE001 - a template may fail in any way; none is the service's fault
                engine.give_up(
                    LoadError(f"the request `{request.name}` cannot be made: {type(error).__name__}: {error}")
                )
                self._sent = time.monotonic()
                self._end(Outcome.CANCELLED, self._sent, 0)
                return
        self._sent = time.monotonic()
        if self._key is not None:
            engine.ledgers[request.ledger or ""].sent(self._key, engine.at(self._sent))
        self.deadline = self._sent + request.timeout
        connection = self._connection
        if connection is not None and connection.usable:
            connection.send(self._data, head=request.head, keep_body=request.keeps_body)
        else:
            self._connecting = engine.loop.create_task(self._connect(self._serial))

    async def _connect(self, serial: int) -> None:
        driver = self._driver
        fault: TransportFault | None = None
        try:
            _, connection = await self._engine.loop.create_connection(
                lambda: HttpConnection(self._answered, driver.heads), driver.target.host, driver.target.port,
                ssl=driver.tls, server_hostname=driver.target.host if driver.tls else None,
            )  # fmt: skip
        except ConnectionRefusedError as error:
            fault = TransportFault("refused", str(error))
        except ConnectionError as error:
            fault = TransportFault("reset", str(error))
        except OSError as error:
            fault = TransportFault(_kind(error), str(error))
        else:
            if serial != self._serial or not self.busy:  # timed out or cancelled meanwhile
                connection.abort()
                return
            self._connection = connection
            connection.send(self._data, head=self._request.head, keep_body=self._request.keeps_body)
        if fault is not None and serial == self._serial and self.busy:
            self._answered(None, fault)

    def _answered(self, answer: HttpAnswer | None, fault: TransportFault | None) -> None:
        now = time.monotonic()
        if answer is None:
            assert fault is not None  # noqa: S101 - one of the two
            self._end(Outcome.FAILED, now, 0, fault.kind, str(fault))
            return
        answer.latency = now - self._sent
        wrong = self._request.wrong(answer)
        if wrong is None:
            self._end(Outcome.OK, now, answer.size)
        else:
            kind = "status" if wrong.startswith("status") else "check"
            self._end(Outcome.FAILED, now, answer.size, kind, f"HTTP {answer.status}: `{wrong}` does not hold")

    def time_out(self) -> None:
        """The request under way took too long."""
        connecting = self._connecting is not None and not self._connecting.done()
        kind, lacking = ("timeout-connect", "connection") if connecting else ("timeout-response", "answer")
        self._cut()
        self._end(Outcome.TIMED_OUT, time.monotonic(), 0, kind, f"no {lacking} within {self._request.timeout:g} s")

    def cancel(self) -> None:
        """The load is over: cut off what is under way."""
        self._cut()
        self._end(Outcome.CANCELLED, time.monotonic(), 0)

    def close(self) -> None:
        """Close the connection."""
        self._cut()

    def _cut(self) -> None:
        if self._connecting is not None:
            self._connecting.cancel()
            self._connecting = None
        if self._connection is not None:
            self._connection.abort()
            self._connection = None

    def _end(self, outcome: Outcome, now: float, size: int, kind: str = "", text: str = "") -> None:
        request = self._request
        # Only an iteration's first request has an intended start; the later ones are due when the one before ended.
        if outcome is Outcome.OK:
            request.held[self._warm_up].add(self._due, self._sent, now, size)
        else:
            answered = kind in ("status", "check")
            cell = self._engine.recorder.cell(request.name, outcome, answered=answered, warm_up=self._warm_up)
            cell.add(self._due, self._sent, now, size)
            if kind:
                self._engine.recorder.error(kind, request.name, self._engine.at(now), text)
        if self._key is not None:
            ledger = self._engine.ledgers[request.ledger or ""]
            ledger.ended(self._key, self._engine.at(now), _acknowledgement(outcome, kind))
        if outcome is Outcome.OK and self._step + 1 < len(self._steps):
            self._step += 1
            self._due = now
            self._send()
            return
        self.busy, self.deadline = False, math.inf
        self._engine.iteration_ended(self, outcome)


def _kind(error: OSError) -> str:
    if error.errno in OWN_LIMITS:
        return "local"
    if type(error).__name__ == "gaierror":
        return "dns"
    return "tls" if type(error).__module__ == "ssl" else "connect"


def _acknowledgement(outcome: Outcome, kind: str) -> Acknowledgement:
    """What the client may rely on: only an answer is an answer."""
    if outcome is Outcome.OK:
        return Acknowledgement.ACKNOWLEDGED
    if outcome is Outcome.FAILED and kind in ("status", "check", "refused", "dns"):
        return Acknowledgement.REFUSED
    return Acknowledgement.UNKNOWN
