"""A front that needs a back, and tells of its loss in every way: health, an alert, a line of its log, a gauge.

python watched.py back PORT
python watched.py front PORT BACK-PORT
"""

import json
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PATIENCE = {"BackLost": 0.4, "BackLongLost": 2.0}  # seconds without the back until an alert fires


class Back:
    """What the front knows of the back; it looks ten times a second."""

    def __init__(self, port: int) -> None:
        self._port, self.lost_at = port, None
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while True:
            there = self.there()
            if there and self.lost_at is not None:
                print("INFO back found", flush=True)  # noqa: T201 - the log
                self.lost_at = None
            elif not there and self.lost_at is None:
                print("ERROR back lost", flush=True)  # noqa: T201 - the log
                self.lost_at = time.monotonic()
            time.sleep(0.1)

    def there(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self._port), timeout=0.5):
                return True
        except OSError:
            return False


class Front(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    back: Back

    def do_GET(self) -> None:
        lost = self.back.lost_at
        status = 503 if lost is not None and self.path in ("/", "/health") else 200
        since = time.monotonic() - lost if lost is not None else 0.0
        alerts = [
            {"labels": {"alertname": name}, "state": "firing" if since > patience else "pending"}
            for name, patience in PATIENCE.items()
        ]
        body = {
            "/alerts": json.dumps({"status": "success", "data": {"alerts": alerts}}),
            "/metrics": f"back_up {int(lost is None)}\n",
        }.get(self.path, "ok")
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_args: object) -> None:
        pass


if __name__ == "__main__":
    role, port, *rest = sys.argv[1:]
    if role == "front":
        Front.back = Back(int(rest[0]))
    else:
        Front.back = type("Nobody", (), {"lost_at": None})()
    ThreadingHTTPServer(("127.0.0.1", int(port)), Front).serve_forever()
