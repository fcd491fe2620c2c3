"""An echo that also answers commands, as a container; and clients for it. Every line that comes is answered."""

import socket
import time
from contextlib import suppress
from typing import Self

# `SEND n` is answered by n bytes, anything else by itself; `BYE` ends the connection. Port 7000 counts nothing and keeps
# nothing; what it saw is told on port 7001: connections opened, connections ended.
PROGRAM = """
import socketserver, threading, time
opened, ended = [], []
class Echo(socketserver.StreamRequestHandler):
    def handle(self):
        opened.append(1)
        try:
            for line in self.rfile:
                word = line.split()
                if word[:1] == [b"SEND"]:
                    self.wfile.write(b"x" * int(word[1]))
                elif word[:1] == [b"BYE"]:
                    return
                else:
                    self.wfile.write(line)
        except OSError:
            pass
        finally:
            ended.append(1)
class Told(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(b"%d %d\\n" % (len(opened), len(ended)))
class Server(socketserver.ThreadingTCPServer):
    daemon_threads, allow_reuse_address, request_queue_size = True, True, 100
echo = Server(("", 7000), Echo)  # before the port whose answer says that this is up
threading.Thread(target=Server(("", 7001), Told).serve_forever, daemon=True).start()
echo.serve_forever()
"""


def service(image: str) -> dict:
    return {"image": image, "entrypoint": ["python3", "-u", "-c", PROGRAM], "ports": {"http": 7000, "told": 7001},
            "health": {"tcp": "told", "within": "60s"}}  # fmt: skip


class Client:
    """One connection."""

    def __init__(self, system, name: str = "echo.http", timeout: float = 5.0):
        address = system.address(name)
        self.socket = socket.create_connection((address.host, address.port), timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def trip(self, size: int = 32) -> float:
        """Seconds for a line there and back."""
        begun = time.monotonic()
        self.socket.sendall(b"y" * (size - 1) + b"\n")
        if len(self.take(size)) < size:
            raise ConnectionError("the connection ended before the answer")
        return time.monotonic() - begun

    def take(self, number: int) -> bytes:
        """So many bytes; fewer when the end came first."""
        got = b""
        while len(got) < number:
            data = self.socket.recv(65536)
            if not data:
                break
            got += data
        return got

    def ask(self, size: int) -> bytes:
        """So many bytes from the server."""
        self.socket.sendall(b"SEND %d\n" % size)
        return self.take(size)

    def ends(self, within: float) -> str:
        """How the connection ends: `end`, `reset`, or `open` when it does not."""
        self.socket.settimeout(within)
        try:
            while self.socket.recv(65536):
                pass
        except TimeoutError:
            return "open"
        except OSError:
            return "reset"
        return "end"

    def close(self) -> None:
        with suppress(OSError):
            self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def trip(system, timeout: float = 5.0) -> float | None:
    """Seconds for a line over a connection of its own; None when none came back."""
    try:
        with Client(system, timeout=timeout) as client:
            return client.trip()
    except OSError:
        return None


def told(system) -> tuple[int, int]:
    """Connections that the server has seen open, and end."""
    with Client(system, "echo.told") as client:
        opened, ended = client.take(64).split()
        return int(opened), int(ended)
