"""`shakedown init` as a user meets it; what curl sends is what its plan sends."""

import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from shutil import which

import pytest

from shakedown.imports import ImportOptions, import_curl, write_plan
from shakedown.load.http.requests import prepare
from shakedown.load.recorder import Recorder
from shakedown.load.spec import Target, build_spec
from shakedown.plan import load_plan

pytestmark = pytest.mark.integration
SHAKEDOWN = Path(sys.executable).with_name("shakedown")


def shakedown(*arguments, cwd: Path, env=None) -> subprocess.CompletedProcess:
    return subprocess.run([str(SHAKEDOWN), *map(str, arguments)], cwd=cwd, env={**os.environ, **(env or {})}, capture_output=True,
                          text=True, timeout=120, check=False)  # fmt: skip


API = {
    "openapi": "3.1.0", "info": {"title": "A shop"}, "servers": [{"url": "https://shop.example.com/v1"}],
    "paths": {"/items": {"get": {"responses": {"200": {}}}, "delete": {"responses": {"204": {}}}}},
}  # fmt: skip


@pytest.fixture
def api(tmp_path: Path) -> Path:
    """An OpenAPI document."""
    (tmp_path / "api.json").write_text(json.dumps(API))
    return tmp_path / "api.json"


def test_another_machine_needs_allow(tmp_path, api):
    """Load on another host is refused by `validate` in one error, until the user allows it."""
    assert shakedown("init", "--openapi", api, cwd=tmp_path).returncode == 0
    done = shakedown("validate", "shakedown.yaml", cwd=tmp_path)
    assert done.returncode == 2
    assert "shop.example.com, which is not on this machine" in done.stderr
    assert "1 problem in the plan" in done.stderr
    assert (
        shakedown("validate", "shakedown.yaml", cwd=tmp_path, env={"SERVICE_URL": "http://127.0.0.1:1"}).returncode == 0
    )
    assert shakedown("init", "--openapi", api, "--allow", "--force", cwd=tmp_path).returncode == 0
    assert shakedown("validate", "shakedown.yaml", cwd=tmp_path).returncode == 0


def test_a_file_that_is_there_stays(tmp_path, api):
    """Nothing is overwritten without --force, and a failed import leaves nothing behind."""
    mine = tmp_path / "mine.yaml"
    mine.write_text("mine")
    done = shakedown("init", "mine.yaml", "--openapi", api, cwd=tmp_path)
    assert (done.returncode, mine.read_text()) == (2, "mine")
    assert "--force" in done.stderr
    assert shakedown("init", "mine.yaml", "--har", api, "--force", cwd=tmp_path).returncode == 2
    assert mine.read_text() == "mine"
    assert shakedown("init", "mine.yaml", "--force", cwd=tmp_path).returncode == 0
    assert "my-service" in mine.read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["api.json", "mine.yaml"]


def test_mistakes_end_with_2_and_one_sentence(tmp_path, api):
    """Wrong options, sources and places are told without a traceback."""
    (tmp_path / "cut.har").write_text('{"log": {"entries": [')
    (tmp_path / "folder").mkdir()
    for arguments in (
        ("--openapi", api, "--har", "x"), ("--openapi", "none.json"), ("--har", "cut.har"), ("--openapi", "cut.har"), ("--har", "folder"),
        ("folder", "--openapi", api), ("no/such/folder.yaml", "--openapi", api), ("--host", "x"), ("--only", "(", "--openapi", api),
        ("--allow",), ("--url", "x", "--openapi", api), ("--curl", "curl --nonsense http://127.0.0.1/"), ("--curl", "curl 'http://a"),
        ("--limit", "0"), ("--only", "nothing", "--openapi", api), ("x" * 300, "--openapi", api),
    ):  # fmt: skip
        done = shakedown("init", *arguments, cwd=tmp_path)
        assert done.returncode == 2, (arguments, done)
        assert "Traceback" not in done.stderr, done.stderr
        assert done.stderr.strip()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["api.json", "cut.har", "folder"]


# ----------------------------------------------------------------------------------------- the same bytes as curl
class Capture:
    """A server that keeps what it is sent, and answers 200."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self._server.settimeout(30)
        self.port = self._server.getsockname()[1]
        self.got = b""

    def once(self) -> None:
        connection, _ = self._server.accept()
        with connection:
            connection.settimeout(30)
            data = b""
            while b"\r\n\r\n" not in data:
                data += connection.recv(65536)
            head, _, body = data.partition(b"\r\n\r\n")
            if b"100-continue" in head:
                connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            length = next(
                (
                    int(line.split(b":")[1])
                    for line in head.split(b"\r\n")
                    if line.lower().startswith(b"content-length")
                ),
                0,
            )
            while len(body) < length:
                body += connection.recv(65536)
            self.got = head + b"\r\n\r\n" + body
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    def close(self) -> None:
        self._server.close()


def parts(data: bytes) -> tuple[bytes, dict[bytes, bytes], bytes]:
    """Request line, headers that matter, body; a multipart boundary is made the same."""
    head, _, body = data.partition(b"\r\n\r\n")
    line, *rest = head.split(b"\r\n")
    pairs = (one.partition(b":") for one in rest)
    headers = {name.lower(): value.strip() for name, _, value in pairs}
    kind = headers.get(b"content-type", b"")
    if b"boundary=" in kind:
        boundary = kind.partition(b"boundary=")[2]
        body, headers[b"content-type"] = body.replace(boundary, b"B"), kind.replace(boundary, b"B")
    for own in (b"host", b"user-agent", b"accept", b"content-length", b"expect"):
        headers.pop(own, None)
    return line, headers, body


COMMANDS = [
    "curl URL/a?x=1",
    "curl URL",
    "curl -X PUT -d a=1 -d 'b=2 3' URL/form",
    "curl --data-urlencode 'a=b c&d' --data-urlencode 'é' URL/enc",
    "curl -G -d a=1 --data-urlencode 'q=x y' 'URL/search?z=1'",
    """curl --json '{"a": "{{ x }} ${Y} $Z", "n": [1, 2.5, null, true]}' URL/json""",
    """curl -H 'Content-Type: application/json' --data-raw '{"{{k}}": 1}' URL/json""",
    "curl --data-binary @body.txt -H 'Content-Type: text/plain' URL/file",
    "curl -d @body.txt URL/file",
    "curl -F a=b -F 'c={{ d }}' -F 'f=@body.txt' URL/parts",
    "curl -F 'a=b;type=text/x' URL/parts",
    "curl -XDELETE -H'X-One: $$ { not' -e http://r/ URL/x",
    "curl -H 'X-Empty;' -H 'Content-Type:' -d x URL/y",
    r"curl -d $'line\r\n{{ two }}\r\nthr\u00e9e' -H 'Content-Type: text/plain' URL/ansi",
    'curl "URL/a%20b/{x}" -g',
    "curl -I URL/head",
]


# A header that is a template belongs here too, once the load engine keeps the line ends of a header block that holds one.
@pytest.mark.skipif(which("curl") is None, reason="no curl to compare with")
@pytest.mark.parametrize("command", COMMANDS)
def test_a_plan_sends_what_curl_sends(tmp_path, command):
    """Request line, headers and body are those of curl itself, letter for letter (JSON: as data)."""
    (tmp_path / "body.txt").write_bytes("one\r\n{{ two }}\nthr\u00e9e\n".encode())
    server = Capture()
    thread = threading.Thread(target=server.once)
    thread.start()
    line = command.replace("URL", f"http://127.0.0.1:{server.port}")
    subprocess.run(
        ["bash", "-c", f"{line} -s -o /dev/null --max-time 20 --noproxy '*'"], cwd=tmp_path, check=True, timeout=60
    )
    thread.join(30)
    server.close()

    path = tmp_path / "plan.yaml"
    path.write_text(write_plan(import_curl([line], ImportOptions(), tmp_path), allow=False), encoding="utf-8")
    plan = load_plan(path, environ={}).plan
    assert plan.stages.baseline is not None
    spec = build_spec(plan, plan.stages.baseline.scenarios[0], stage="baseline", base=tmp_path, run_dir=tmp_path,
                      target=Target(host="127.0.0.1", port=server.port), origin=0.0, run_seed=1)  # fmt: skip
    request = prepare(spec, Recorder("l"))[0]
    sent = request.constant or request.render({})[0]
    wanted, found = parts(server.got), parts(sent)
    assert found[0] == wanted[0]
    if wanted[1].get(b"content-type") == b"application/json":
        assert json.loads(found[2]) == json.loads(wanted[2])
        found, wanted = found[:2], wanted[:2]
    assert found == wanted
