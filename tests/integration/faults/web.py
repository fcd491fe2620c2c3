"""A small HTTP/1.1 service as a container, and clients of it that know nothing of any fault."""

import httpx

# GET /stats answers `0123456789`, /chunks the same in two chunks, POST /pay what it got; GET /paid tells how many POST /pay came.
PROGRAM = """
import http.server
paid = []
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    def log_message(self, *_): pass
    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
    def do_GET(self):
        if self.path == "/chunks":
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"5\\r\\n01234\\r\\n5\\r\\n56789\\r\\n0\\r\\n\\r\\n")
        elif self.path == "/paid":
            self.answer(str(len(paid)).encode())
        else:
            self.answer(b"0123456789")
    do_HEAD = do_GET
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        paid.append(body)
        self.answer(body)
class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 100
Server(("", 8000), Handler).serve_forever()
"""

BODY = b"0123456789"


def service(image: str) -> dict:
    return {"image": image, "entrypoint": ["python3", "-u", "-c", PROGRAM], "ports": {"http": 8000},
            "health": {"http": "http:/stats", "within": "60s"}}  # fmt: skip


def client(system, name: str = "web.http", timeout: float = 5.0) -> httpx.Client:
    return httpx.Client(base_url=system.address(name).url, timeout=timeout, trust_env=False)


def outcome(session: httpx.Client, method: str, path: str, **more) -> object:
    """The status that a client got, or the name of its error."""
    try:
        return session.request(method, path, **more).status_code
    except httpx.HTTPError as error:
        return type(error).__name__


def warm(session: httpx.Client) -> None:
    """The first request after the injection may meet a connection that was reset; from then on they are new ones."""
    outcome(session, "GET", "/paid")


def sound(system) -> bool:
    """Whether everything is as it was: whole bodies, plain statuses."""
    with client(system) as session:
        return (
            session.get("/stats").content == BODY == session.get("/chunks").content
            and session.post("/pay", content=b"x").content == b"x"
            and session.head("/stats").headers["content-length"] == "10"
        )


class Once:
    """A test's whole life: the fault on a service of its own, `during` called with a client that has met the proxy."""

    def __init__(self, make_system, image: str):
        self.system = make_system({"web": service(image)})

    def under(self, plan, during, hold: float = 2.0, timeout: float = 5.0):
        """The record of the fault, and what `during` returned; proved gone, and all as before."""
        from tests.integration.faults.harness import inject

        def meet():
            with client(self.system, timeout=timeout) as session:
                warm(session)
                return during(session)

        record, found = inject(self.system, plan, hold, meet)
        assert record.error is None, record.error
        assert found, "the client broke"
        assert record.gone.held, record.gone
        assert sound(self.system)
        return record, found[0]
