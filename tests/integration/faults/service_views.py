"""What the tests of faults of whole services watch: a client's view, hundreds of times a second, and a program's tree."""

import http.client
import sys
import threading
import time
from dataclasses import dataclass, field

__all__ = ["PROGRAM", "TREE", "Watcher"]

PAGE = ("import http.server as h; "
        "h.ThreadingHTTPServer(('127.0.0.1', int('{port.http}')), h.SimpleHTTPRequestHandler).serve_forever()")  # fmt: skip

# Answers HTTP with what its environment says; starts a child that writes a line each 50 ms, to be seen living or not.
_TREE = """
import http.server, os, subprocess, sys
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = os.environ.get("GREETING", "none").encode()
        self.send_response(200); self.send_header("Content-Length", str(len(body))); self.end_headers(); self.wfile.write(body)
    def log_message(self, *args): pass
subprocess.Popen([sys.executable, "-c",
    "import time\\nwhile True:\\n    open('beats', 'a').write('.')\\n    time.sleep(0.05)"])
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Page).serve_forever()
"""
TREE = {"process": [sys.executable, "-c", _TREE, "{port.http}"], "ports": {"http": 0}, "environment": {"GREETING": "own"},
        "health": {"http": "http:/", "timeout": "500ms"}}  # fmt: skip
PROGRAM = {
    "process": [sys.executable, "-c", PAGE],
    "ports": {"http": 0},
    "health": {"http": "http:/", "timeout": "500ms"},
}


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

    def last_answer_before_silence(self, start: float) -> float | None:
        """When the last answer came before the first failure after an instant."""
        first = next((begun for begun, _, answer in self.seen if answer is None and begun >= start), None)
        return max(
            (ended for _, ended, answer in self.seen if answer is not None and first and ended <= first), default=None
        )
