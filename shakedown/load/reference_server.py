"""The least service that can be loaded: what is measured against it is the generator and the loopback, and little else.

It answers every request without a body with the same few bytes, and looks for nothing but the ends of heads. It runs in
processes of its own on the loopback address, tells its port on standard output, and ends when its input does.
"""

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

from shakedown.errors import LoadError

__all__ = ["main", "reference_server"]

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"
_END_OF_HEAD = b"\r\n\r\n"
BACKLOG = 4096


class _Service(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        self._left = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]  # a stream, as create_server makes

    def data_received(self, data: bytes) -> None:
        if self._left or not data.endswith(_END_OF_HEAD):
            data = self._left + data
            self._left = data[data.rfind(_END_OF_HEAD) + 4 :] if _END_OF_HEAD in data else data
        self._transport.write(ANSWER * data.count(_END_OF_HEAD))


@contextlib.contextmanager
def reference_server(processes: int = 1) -> Iterator[int]:
    """Run the service in processes of its own; gives its port.

    Args:
        processes: how many share the port.

    Raises:
        LoadError: one of them did not come up.
    """
    port = 0
    running: list[subprocess.Popen[str]] = []
    try:
        for _ in range(processes):
            process = subprocess.Popen(  # noqa: S603 - a module of our own
                [sys.executable, "-m", "shakedown.load.reference_server", str(port)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
            running.append(process)
            assert process.stdout is not None  # noqa: S101 - PIPE
            word, _, number = process.stdout.readline().partition(" ")
            if word != "ready":
                raise LoadError("the reference server did not start")
            port = int(number)
        yield port
    finally:
        for process in running:
            process.kill()
            process.communicate()


def _end_with_parent() -> None:
    while sys.stdin.readline():
        pass
    os._exit(0)


async def _serve(port: int) -> None:
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if hasattr(socket, "SO_REUSEPORT"):
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listening.bind(("127.0.0.1", port))
    server = await asyncio.get_running_loop().create_server(_Service, sock=listening, backlog=BACKLOG)
    sys.stdout.write(f"ready {listening.getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


def main() -> None:
    """Run as a process: `python -m shakedown.load.reference_server [PORT]`."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    try:
        import uvloop  # noqa: PLC0415 - does not exist for Windows
    except ImportError:
        asyncio.run(_serve(port))
    else:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(port))


if __name__ == "__main__":
    main()
