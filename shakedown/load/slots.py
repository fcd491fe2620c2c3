"""One virtual user: takes an iteration through its requests, over a connection of its own."""

import asyncio
import errno
import time
from typing import TYPE_CHECKING

from shakedown.errors import LoadError
from shakedown.load.http1 import HttpAnswer, HttpConnection, TransportFault
from shakedown.load.requests import PreparedRequest
from shakedown.records.ledger import Acknowledgement
from shakedown.records.load import Outcome

if TYPE_CHECKING:
    from shakedown.load.engine import Engine

__all__ = ["Slot"]

# What this machine, not the service, has run out of.
OWN_LIMITS = frozenset({errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL, errno.ENOBUFS, errno.ENOMEM})


class Slot:
    """A virtual user; the engine gives it iterations, and hears when one ended."""

    def __init__(self, number: int, engine: "Engine") -> None:
        self.number = number
        self._engine = engine
        self._connection: HttpConnection | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._names: dict[str, object] = {}
        self._steps: list[PreparedRequest] = []
        self._step = 0
        self._due = self._sent = 0.0
        self._key: str | None = None
        self._data = b""
        self.serial = 0  # of the request under way: a time-out that was set for an earlier one is stale
        self.busy = False

    @property
    def request(self) -> PreparedRequest:
        """The request under way."""
        return self._steps[self._step]

    def begin(self, due: float, iteration: int, steps: list[PreparedRequest]) -> None:
        """Start an iteration that was due at `due` (monotonic)."""
        self.busy = True
        self._names = self._engine.context.names(iteration, self.number)
        self._steps, self._step = steps, 0
        self._due = due
        self._send()

    def _send(self) -> None:
        engine, request = self._engine, self.request
        self.serial += 1
        self._sent = time.monotonic()
        self._key = None
        try:
            self._data, self._key = request.render(self._names)
        except Exception as error:  # noqa: BLE001 - a template may fail in any way; none of them is the service's fault
            engine.give_up(LoadError(f"the request `{request.name}` cannot be made: {type(error).__name__}: {error}"))
            self._end(Outcome.CANCELLED, time.monotonic(), 0)
            return
        self._sent = time.monotonic()
        if self._key is not None:
            engine.ledgers[request.ledger or ""].sent(self._key, engine.at(self._sent))
        engine.watch_timeout(self._sent + request.timeout, self)
        if self._connection is not None and self._connection.usable:
            self._write()
        else:
            self._connecting = engine.loop.create_task(self._connect(self.serial))

    async def _connect(self, serial: int) -> None:
        target = self._engine.spec.target
        fault: TransportFault | None = None
        try:
            _, connection = await self._engine.loop.create_connection(
                lambda: HttpConnection(self._answered), target.host, target.port,
                ssl=self._engine.tls, server_hostname=target.host if self._engine.tls else None,
            )  # fmt: skip
        except ConnectionRefusedError as error:
            fault = TransportFault("refused", str(error))
        except ConnectionError as error:
            fault = TransportFault("reset", str(error))
        except OSError as error:
            fault = TransportFault(_kind(error), str(error))
        else:
            if serial != self.serial or not self.busy:  # timed out or cancelled meanwhile
                connection.abort()
                return
            self._connection = connection
            self._write()
        if fault is not None and serial == self.serial and self.busy:
            self._answered(None, fault)

    def _write(self) -> None:
        request = self.request
        assert self._connection is not None  # noqa: S101 - `_send` and `_connect` saw to it
        self._connection.send(
            self._data,
            head=request.method == "HEAD",
            keep_body=request.keeps_body,
            keep_headers=request.checks.needs_headers,
        )

    def _answered(self, answer: HttpAnswer | None, fault: TransportFault | None) -> None:
        now = time.monotonic()
        if answer is None:
            assert fault is not None  # noqa: S101 - one of the two
            self._end(Outcome.FAILED, now, 0, fault.kind, str(fault))
            return
        answer.latency = now - self._sent
        wrong = self.request.checks.failed(answer)
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
        self._end(Outcome.TIMED_OUT, time.monotonic(), 0, kind, f"no {lacking} within {self.request.timeout:g} s")

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
        engine, request = self._engine, self.request
        ended = engine.at(now)
        # Only an iteration's first request has an intended start; the later ones are due when the one before ended.
        engine.recorder.request(request.name, outcome, engine.at(self._due), engine.at(self._sent), ended, size)
        if kind:
            engine.recorder.error(kind, request.name, ended, text)
        if self._key is not None:
            engine.ledgers[request.ledger or ""].ended(self._key, ended, _acknowledgement(outcome, kind))
        if outcome is Outcome.OK and self._step + 1 < len(self._steps):
            self._step += 1
            self._due = now
            self._send()
            return
        self.busy = False
        engine.iteration_ended(self, outcome)


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
