"""What the tests of faults of whole services watch: a client's view, hundreds of times a second, and a program's tree."""

import http.client
import math
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Watcher", "box", "gets_through", "program"]

# Answers HTTP with what its environment says; starts a child that writes a dot each 50 ms, to be seen living or not.
_TREE = """
import http.server, os, subprocess, sys
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = os.environ.get("GREETING", "none").encode()
        self.send_response(200); self.send_header("Content-Length", str(len(body))); self.end_headers(); self.wfile.write(body)
    def log_message(self, *args): pass
subprocess.Popen(["python3", "-c",
    "import time\\nwhile True:\\n    open('BEATS', 'a').write('.')\\n    time.sleep(0.05)"])
http.server.ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), Page).serve_forever()
"""
_HEALTH = {"http": "http:/", "timeout": "500ms"}


def program(beats: Path) -> dict:
    """A program of two processes on this machine; the child's dots go to `beats`."""
    code = _TREE.replace("BEATS", str(beats)).replace('"python3"', "sys.executable")
    return {"process": [sys.executable, "-c", code, "127.0.0.1", "{port.http}"], "ports": {"http": 0},
            "environment": {"GREETING": "own"}, "health": _HEALTH}  # fmt: skip


def box(image: str) -> dict:
    """The same as a container."""
    return {"image": image, "entrypoint": ["python3", "-c", _TREE, "", "8000"], "ports": {"http": 8000},
            "environment": {"GREETING": "own"}, "health": _HEALTH, "stop_grace": "200ms"}  # fmt: skip


def gets_through(port: int, within: float = 10.0) -> str | None:
    """What a client gets at last."""
    until = time.monotonic() + within
    with Watcher(port) as watcher:
        while time.monotonic() < until and not any(answer for _, _, answer in watcher.seen):
            time.sleep(0.02)
    return next((answer for _, _, answer in watcher.seen if answer), None)


@dataclass
class Watcher:
    """Asks a port again and again, on new connections; keeps when it answered what.

    Attributes:
        seen: instants (monotonic) of the asking, of its end, and the answer's body; None for no answer.
    """

    port: int
    within: float = 0.3
    seen: list[tuple[float, float, str | None]] = field(default_factory=list)

    def __post_init__(self):
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()

    def _run(self):
        while not self._over.is_set():
            begun = time.monotonic()
            answer = None
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=self.within)
            try:
                connection.request("GET", "/")
                answer = connection.getresponse().read().decode(errors="replace")
            except (OSError, http.client.HTTPException):
                pass
            finally:
                connection.close()
            self.seen.append((begun, time.monotonic(), answer))
            self._over.wait(0.002)

    def answers(self, start: float, end: float) -> list[str | None]:
        """What was answered to what was asked within a time."""
        return [answer for begun, ended, answer in self.seen if start <= begun and ended <= end]

    def answered(self, start: float, end: float = math.inf) -> set[str | None]:
        """The different answers to what was asked within a time; None is no answer."""
        return set(self.answers(start, end))

    def last_answer_before_silence(self, start: float) -> float | None:
        """When the last answer came before the first failure after an instant."""
        first = next((begun for begun, _, answer in self.seen if answer is None and begun >= start), None)
        return max(
            (ended for _, ended, answer in self.seen if answer is not None and first and ended <= first), default=None
        )
