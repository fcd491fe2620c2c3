"""TCP: bytes out, an answer that ends as the plan says, each user over a connection of its own.

No more of an answer is kept than its limit. Bytes that come after an answer's end belong to the next operation that only
waits; before one that sends something they mean that the answer to come could not be told apart, which is an error.
"""

import asyncio
import contextlib
import re
import ssl
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from shakedown.errors import LoadError
from shakedown.load import values
from shakedown.load.drivers.operations import OperationsDriver, OperationsVu, Prepared
from shakedown.load.drivers.users import Failure, Iteration, Running, transport_failure
from shakedown.load.notes import note_of
from shakedown.plan.driver_checks import Facts
from shakedown.plan.drivers import Expect, Tcp, TcpOperation

if TYPE_CHECKING:
    from shakedown.load.engine import Engine

__all__ = ["TcpDriver"]

CHUNK = 64 * 1024
End = Callable[
    [bytearray, int], int
]  # of what came so far, and how much of it was looked at: the answer's length, or -1


class PreparedTcp(Prepared[TcpOperation]):
    """One operation, with what finds its answer's end."""

    def __init__(self, plan: TcpOperation) -> None:
        render = values.text(plan.text) if plan.text is not None else None
        note = note_of(plan, "sent", None, removes=plan.removes)
        super().__init__(
            "tcp", plan, lambda names: plan.payload(render(names)) if render else b"",
            (lambda names, made: note(names, _text(made), made)) if note else None,
        )  # fmt: skip
        self.end = _end_of(plan.expect) if plan.expect is not None else None


def _text(sent: object) -> object:
    """What is sent as its templates know it: a text where it is one."""
    try:
        return sent.decode() if isinstance(sent, bytes) else sent
    except UnicodeDecodeError:
        return sent


class TcpDriver(OperationsDriver[TcpOperation]):
    """Where the server is, and the operations."""

    def __init__(self, engine: "Engine", tcp: Tcp) -> None:
        operations = [PreparedTcp(operation) for operation in tcp.operations]
        super().__init__(engine, operations, weighted=tcp.mode == "weighted")
        self.tcp = tcp
        self.tls = ssl.create_default_context() if tcp.tls or engine.spec.address.tls else None
        self.greeting = _end_of(tcp.greeting) if tcp.greeting is not None else None

    def vu(self, number: int) -> "TcpVu":
        """A new user."""
        return TcpVu(number, self)


class _Line:
    """One connection, with what came on it and belongs to nothing yet."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.held = bytearray()

    @property
    def usable(self) -> bool:
        """Whether another operation can go over it."""
        return not (self.writer.is_closing() or self.reader.at_eof())

    def abort(self) -> None:
        """Cut it."""
        self.writer.transport.abort()

    async def answer(self, end: End, limit: int) -> bytes:
        """The next answer.

        Raises:
            Failure: it is too long, or the connection ended before it did.
        """
        looked = 0
        while True:
            length = end(self.held, looked)
            if length < 0:
                looked = len(self.held)
                data = await self.reader.read(CHUNK) if looked <= limit else b""
                if data:
                    self.held += data
                    continue
                if looked <= limit and end is _whole:
                    length = looked
            if length > limit or (length < 0 and looked > limit):
                raise Failure("protocol", f"an answer of more than {limit} bytes")
            if length < 0:
                where = f"after {looked} bytes of an answer" if looked else "before an answer"
                raise Failure("closed", f"the server closed the connection {where}")
            found = bytes(self.held[:length])
            del self.held[:length]
            return found


class TcpVu(OperationsVu[TcpOperation]):
    """A user with its connection."""

    driver: TcpDriver

    def __init__(self, number: int, driver: TcpDriver) -> None:
        super().__init__(number, driver)
        self._line: _Line | None = None

    async def iterate(self, iteration: Iteration) -> None:
        """The operations of one iteration."""
        if self.driver.tcp.connection == "iteration":
            self.close()
        await super().iterate(iteration)
        if self.driver.tcp.connection == "iteration" and not iteration.over:
            self.close()

    async def perform(self, operation: Prepared[TcpOperation], payload: object, running: Running) -> int:
        """Send, and take the answer."""
        assert isinstance(operation, PreparedTcp)  # noqa: S101 - the driver made them
        line, data, whole = self._line, cast("bytes", payload), False
        try:
            if line is None or not line.usable:
                if line is not None:
                    line.abort()
                line = self._line = await self._connect(running)
            if data:
                if line.held:
                    raise Failure("protocol", f"{len(line.held)} bytes came that nobody had asked for")
                line.writer.write(data)
                await line.writer.drain()
            found = await line.answer(operation.end, self.driver.tcp.limit) if operation.end is not None else b""
            whole = True
        except (OSError, EOFError) as error:
            raise transport_failure(error) from error
        finally:
            if not whole and line is not None:
                line.abort()
                self._line = None if self._line is line else self._line
        facts = Facts(latency=time.monotonic() - running.begun)
        if operation.end is not None:
            facts.values = {"answer": found, "size": len(found)}
        operation.judge(facts)
        return len(found)

    async def _connect(self, running: Running) -> _Line:
        driver, address = self.driver, self.driver.engine.spec.address
        running.phase = "connect"
        line: _Line | None = None
        try:
            reader, writer = await asyncio.open_connection(
                address.host, address.port, ssl=driver.tls, server_hostname=address.host if driver.tls else None
            )
            line = _Line(reader, writer)
            if driver.greeting is not None:
                await line.answer(driver.greeting, driver.tcp.limit)
        except BaseException:
            if line is not None:
                line.abort()
            raise
        running.mark_sent()
        return line

    def abandon(self) -> None:
        """The connection is cut at once: what comes on it belongs to what was given up."""
        self.close()

    def close(self) -> None:
        """Cut the connection."""
        if self._line is not None:
            with contextlib.suppress(OSError):
                self._line.abort()
            self._line = None


def _whole(_held: bytearray, _looked: int) -> int:
    """An answer that ends with the connection."""
    return -1


def _end_of(expect: Expect) -> End:
    if expect.close:
        return _whole
    if expect.length is not None:
        wanted = expect.length
        return lambda held, _: wanted if len(held) >= wanted else -1
    if expect.until is not None:
        mark = expect.until.encode()

        def until(held: bytearray, looked: int) -> int:
            at = held.find(mark, max(looked - len(mark) + 1, 0))
            return at + len(mark) if at >= 0 else -1

        return until
    try:
        pattern = re.compile((expect.regex or "").encode(), re.DOTALL)
    except re.error as error:  # the plan has looked at it
        raise LoadError(f"not a regular expression: {expect.regex!r}: {error}") from None

    def matched(held: bytearray, _looked: int) -> int:
        found = pattern.search(held)
        return found.end() if found is not None and found.end() > 0 else -1

    return matched
