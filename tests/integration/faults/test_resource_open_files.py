"""Open files: none can be opened meanwhile, by children neither; afterwards the limits are what they were."""

import resource
import sys
import threading
import time

import httpx
import psutil
import pytest

from shakedown.faults import build_fault
from shakedown.guard import carry_out
from shakedown.plan.faults.resource import ResourceOpenFiles
from tests.integration.faults.harness import context_of, inject

pytestmark = pytest.mark.integration

# Answers with the outcome of opening a file, over one connection that is there already.
SERVER = """
import http.server as h, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
class Handler(h.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        try:
            open("/dev/null").close()
            said = b"opened"
        except OSError as error:
            said = error.strerror.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)
    def log_message(self, *_):
        pass
h.HTTPServer(("", int(sys.argv[1])), Handler).serve_forever()
"""


@pytest.fixture(params=["docker", "process"])
def system(request, make_system, python_image):
    """The server, as a container or as a process of this machine."""
    health = {"http": "http:/", "within": "30s"}
    if request.param == "process":
        service = {"process": [sys.executable, "-c", SERVER, "{port.http}"], "ports": {"http": 0}, "health": health}
    else:
        service = {"image": python_image, "entrypoint": ["python3", "-c", SERVER, "8000"], "ports": {"http": 8000},
                   "health": health}  # fmt: skip
    return make_system({"web": service})


def soft_limits(system, engine) -> set[int]:
    """Of all processes of the service."""
    handle = system.handle("web")
    root = psutil.Process(handle.pid or engine.containers.get(handle.container).attrs["State"]["Pid"])
    return {
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE)[0] for process in [root, *root.children(recursive=True)]
    }


def test_no_more_files(system, engine):
    """The server meets EMFILE at its next file while an open connection goes on; afterwards it opens files again."""
    before = soft_limits(system, engine)
    with httpx.Client(base_url=system.address("web.http").url, trust_env=False) as client:
        assert client.get("/").text == "opened"
        record, found = inject(system, ResourceOpenFiles(target="web"), during=lambda: client.get("/").text)
        assert record.error is None, record.error
        assert record.refused is None, record.refused
        assert record.effect.held, record.effect
        assert found == ["Too many open files"]
        assert record.gone.held, record.gone
        assert client.get("/").text == "opened"
    assert soft_limits(system, engine) == before


def test_more_than_anybody_opens(system, engine):
    """A limit that nobody meets is not held."""
    record, _ = inject(system, ResourceOpenFiles(target="web", leave=50), hold=1)
    assert not record.effect.held
    assert record.gone.held


def test_the_undo_of_the_journal(system, engine):
    """Carried out by another process, twice at once: every limit is as before."""
    before = soft_limits(system, engine)
    fault = build_fault(ResourceOpenFiles(target="web"), context_of(system))
    fault.check()
    undo = fault.undo()
    fault.inject(time.time() + 60)
    assert soft_limits(system, engine) != before
    threads = [threading.Thread(target=carry_out, args=(undo, None)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert soft_limits(system, engine) == before
    assert fault.gone().held
