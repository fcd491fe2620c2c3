"""The proxy in the foreground: stands before a process or an outside URL, so that faults can act on connections to it.

It is the very program that works inside containers' namespaces, started on this machine. It takes its orders over its
standard input and ends with it, so it does not outlive us.
"""

import contextlib
import itertools
import json
import os
import selectors
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from shakedown.errors import FaultError, ServiceError
from shakedown.guard.journal import Journal
from shakedown.guard.process import start_program
from shakedown.guard.undo import Undo, carry_out
from shakedown.services.handle import Address
from shakedown.services.ports import free_port

__all__ = ["ForegroundProxy", "ProxyOrders", "proxy_command"]

PROGRAM = Path(__file__).parent.parent / "faults" / "agent" / "agent.py"
ANSWER_WITHIN = 15.0
START_WITHIN = 30.0


def proxy_command(ways: Sequence[tuple[str, str]]) -> list[str]:
    """What starts the proxy.

    Args:
        ways: pairs of `host:port`: where it listens, and what for.
    """
    command = [sys.executable, "-B", "-u", str(PROGRAM)]
    for listen, to in ways:
        command += ["--listen", listen, "--to", to]
    return command


class ProxyOrders:
    """Orders to a proxy whose standard input and output are pipes to us; safe to use from several threads."""

    def __init__(self, process: "subprocess.Popen[bytes]", name: str) -> None:
        self._process, self._name = process, name
        self._lock = threading.Lock()
        self._serial = itertools.count(1)
        self._buffer = b""

    def ask(self, do: str, **order: object) -> dict[str, Any]:
        """Give an order and wait for the answer.

        Raises:
            FaultError: it refused, died, or did not answer in time.
        """
        number = next(self._serial)
        line = json.dumps({"id": number, "do": do, **order}) + "\n"
        until = time.monotonic() + (START_WITHIN if do == "hello" else ANSWER_WITHIN)
        try:
            with self._lock:
                self._pipe("stdin").write(line.encode())
                self._pipe("stdin").flush()
                while True:
                    answer = json.loads(self._next_line(until))
                    if answer.get("id") == number:
                        break
        except (OSError, ValueError) as error:
            raise FaultError(f"{self._name} does not answer: {error}") from error
        if not answer["ok"]:
            raise FaultError(f"{self._name} refused `{do}`: {answer['error']}")
        return dict(answer)

    def _pipe(self, which: str) -> Any:
        return getattr(self._process, which)

    def _next_line(self, until: float) -> bytes:
        output = self._pipe("stdout")
        with selectors.DefaultSelector() as selector:
            selector.register(output, selectors.EVENT_READ)
            while b"\n" not in self._buffer:
                if not selector.select(max(until - time.monotonic(), 0.0)):
                    raise OSError("no answer in time")
                data = os.read(output.fileno(), 65536)
                if not data:
                    raise OSError("it ended")
                self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def end(self) -> None:
        """Close its input, which ends it, and give it a moment."""
        for which in ("stdin", "stdout"):
            with contextlib.suppress(OSError):  # what was never read by a proxy that died
                self._pipe(which).close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=2)


class ForegroundProxy:
    """One proxy before one service of a run.

    Attributes:
        name: of the service.
        addresses: where the proxy listens, by port name.
        undo: what ends it, for the journal.
    """

    def __init__(self, name: str, to: Mapping[str, Address], log: Path, journal: Journal) -> None:
        """Start it.

        Raises:
            ServiceError: it cannot be started.
        """
        self.name = name
        self.addresses = {port: Address("127.0.0.1", free_port(), address.scheme) for port, address in to.items()}
        self._journal = journal
        command = proxy_command(
            [
                (f"127.0.0.1:{self.addresses[port].port}", f"{address.host}:{address.port}")
                for port, address in to.items()
            ]
        )
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            try:
                self._process, self._intent = start_program(
                    journal, f"proxy before {name}", command, cwd=log.parent, environment=dict(os.environ), output=output,
                    piped=True,
                )  # fmt: skip
            except OSError as error:
                raise ServiceError(f"the proxy before {name} cannot be started: {error}") from error
        self.undo: Undo = self._intent.undo
        self._orders = ProxyOrders(self._process, f"the proxy before {name}")
        self.ask = self._orders.ask
        try:
            self.ask("hello")
        except FaultError as error:
            self.stop()
            tail = log.read_text(encoding="utf-8", errors="replace").splitlines()[-5:]
            raise ServiceError(f"the proxy before {name} does not start: {error}", details=tail) from error

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    def stop(self) -> None:
        """End it.

        Raises:
            GuardError: it does not end.
        """
        self._orders.end()
        carry_out(self._intent.undo, None)
        self._process.wait(timeout=2)
        self._journal.strike(self._intent.id)
