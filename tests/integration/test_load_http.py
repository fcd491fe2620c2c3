"""The HTTP driver against a real server, which counts for itself what it saw."""

import json
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from shakedown.errors import LoadError
from shakedown.load import LoadHandle, LoadSpec
from shakedown.load.spec import Target
from shakedown.plan.scenarios import Scenario
from shakedown.records.load import LoadResult, Outcome
from shakedown.services.ports import free_port

pytestmark = pytest.mark.integration


@dataclass
class Server:
    """A server under test."""

    port: int

    def seen(self) -> dict:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/__seen", timeout=10) as answer:
            return json.load(answer)

    @property
    def counts(self) -> dict[str, int]:
        return self.seen()["counts"]


@contextmanager
def serving(mode: str = "good", *tls: str) -> Iterator[Server]:
    port = free_port()
    command = [sys.executable, str(Path(__file__).with_name("servers_http.py")), str(port), mode, *tls]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        try:
            yield Server(port)
        finally:
            process.kill()


@pytest.fixture(scope="module")
def shared() -> Iterator[Server]:
    """A server for tests that do not count."""
    with serving() as server:
        yield server


def times(number: int, vus: int = 1, duration: float = 30.0, **changes) -> dict:
    return {
        "type": "shared-iterations",
        "vus": vus,
        "iterations": number,
        "duration": duration,
        "graceful_stop": 5,
        **changes,
    }


def handle(tmp_path, port, executor, *requests, workers=1, seed=1, data=None, **http) -> LoadHandle:
    wanted = {"target": "a.http", **({"requests": list(requests)} if requests else {}), **http}
    work = Scenario.model_validate({"executor": executor, "http": wanted, **({"data": data} if data else {})})
    spec = LoadSpec(
        label="l", scenario="s", stage="x", duration=work.executor.longest, seed=seed, workers=workers, work=work,
        target=Target(host="127.0.0.1", port=port), base=str(tmp_path), ledger_dir=str(tmp_path / "ledgers"),
        origin=time.monotonic() - 1,
    )  # fmt: skip
    return LoadHandle(spec, lambda _: None)


def run(load: LoadHandle) -> LoadResult:
    load.start()
    result = load.wait(threading.Event())
    assert result.counts.problems() == []
    assert not result.generator.lost_workers
    return result


def errors(result: LoadResult) -> dict[str, int]:
    found: dict[str, int] = {}
    for error in result.errors:
        found[error.kind] = found.get(error.kind, 0) + error.count
    return found


SESSION = [
    {"name": "login", "post": "/login", "json": {"user": "{{ vu }}"},
     "extract": {"token": "json.access_token", "second": "$.user.ids[-1]", "sid": "cookie.session"}},
    {"name": "create", "post": "/items", "auth": {"bearer": "{{ token }}"}, "checks": ["status == 201"],
     "extract": {"id": r"header.location ~ /items/(\d+)"}},
    {"name": "read", "get": "/items/{{ id }}?n={{ second }}&s={{ sid }}", "auth": {"bearer": "{{ token }}"},
     "checks": ["status == 200", "json.id exists"]},
]  # fmt: skip


def test_sessions_carry_what_they_extract(tmp_path):
    """Each iteration uses the token, id and cookie of its own log-in and no other's, over two workers."""
    with serving() as server:
        result = run(handle(tmp_path, server.port, times(60, vus=6), *SESSION, workers=2))
        counts = server.counts
    assert (result.counts.ok, errors(result)) == (60, {})
    assert result.counts.requests == counts["requests"] == 180
    assert counts["logins"] == counts["whole sessions"] == 60


def test_cookies_can_be_kept_for_a_user_or_not_at_all(tmp_path, shared):
    """A user's jar outlives its iterations when it is to; without cookies the session is not let in."""
    once = {"name": "gate", "get": "/gate", "checks": ["status in [200, 302]"]}
    with serving() as server:
        run(handle(tmp_path, server.port, times(10), once, cookies="vu", redirects=2))
        assert server.counts["GET /gate"] == 11  # one redirect, for one cookie
        run(handle(tmp_path, server.port, times(10), once, cookies="iteration", redirects=2))
        assert server.counts["GET /gate"] == 31
    result = run(handle(tmp_path, shared.port, times(5), *SESSION, cookies=False))
    assert errors(result) == {"status": 5}


def test_what_is_not_there_to_extract_is_an_error_of_its_own(tmp_path):
    """The request fails as `extract`, keeps its latency, and what would follow is not sent."""
    first = {"name": "a", "get": "/echo", "extract": {"token": "json.nowhere"}}
    with serving() as server:
        result = run(handle(tmp_path, server.port, times(7), first, {"name": "b", "get": "/status/200?{{ token }}"}))
        counts = server.counts
    assert (result.counts.failed, errors(result)) == (7, {"extract": 7})
    assert "json.nowhere" in result.errors[0].example
    assert counts["requests"] == 7
    assert {key.outcome: bucket.response.count for key, bucket in result.buckets.items()} == {Outcome.FAILED: 7}


def test_groups_and_requests_are_drawn_by_weight_and_seed(tmp_path):
    """The same seed draws the same groups with one worker or two; weights are kept to; groups stay whole."""
    groups = [
        {"name": "rare", "weight": 1, "requests": [{"name": "r1", "get": "/status/201"}, {"name": "r2", "get": "/status/202"}]},
        {"name": "often", "weight": 3, "mode": "weighted",
         "requests": [{"name": "o1", "get": "/status/203", "weight": 9}, {"name": "o2", "get": "/status/204"}]},
    ]  # fmt: skip
    seen = []
    for workers, seed in ((1, 5), (2, 5), (1, 6)):
        with serving() as server:
            executor = {"type": "constant-arrival-rate", "rate": 400, "duration": 1}
            run(handle(tmp_path, server.port, executor, groups=groups, workers=workers, seed=seed))
            seen.append({key: value for key, value in server.counts.items() if key.startswith("GET")})
    assert seen[0] == seen[1] != seen[2]
    assert seen[0]["GET /status/201"] == seen[0]["GET /status/202"]
    assert 60 <= seen[0]["GET /status/201"] <= 140
    assert seen[0]["GET /status/203"] > 5 * seen[0]["GET /status/204"] > 0


@pytest.mark.parametrize(
    ("request_", "content_type", "body"),
    [
        ({"json": {"n": "{{ 4 + 1 | int }}", "m": "{{ (4 + 1) | int }}", "t": ["{{ iteration }}"]}}, "application/json",
         '{"n": "5", "m": 5, "t": ["0"]}'),
        ({"form": {"a": "x y", "b": "{{ iteration }}"}}, "application/x-www-form-urlencoded", "a=x+y&b=0"),
        ({"body": "raw {{ iteration }}"}, "text/plain; charset=utf-8", "raw 0"),
        ({"file": "data.xml"}, "text/xml", "<a/>"),
        ({"file": "{{ 'data' }}.xml"}, "text/xml", "<a/>"),
        ({"body": "x", "headers": {"content-type": "a/b"}}, "a/b", "x"),
    ],
)  # fmt: skip
def test_bodies_arrive_as_they_were_meant(tmp_path, shared, request_, content_type, body):
    """Each kind of body arrives byte for byte, with its Content-Type."""
    (tmp_path / "data.xml").write_text("<a/>")
    checks = [
        f"json.body == {json.dumps(body)}", f"json.headers.content-length == {json.dumps(str(len(body)))}",
        f"$.headers['content-type'] in {json.dumps([content_type, content_type.replace('text/xml', 'application/xml')])}",
    ]  # fmt: skip
    result = run(handle(tmp_path, shared.port, times(1), {"name": "r", "post": "/echo", **request_, "checks": checks}))
    assert (result.counts.ok, result.errors) == (1, [])


def test_multipart_is_what_others_read(tmp_path, shared):
    """Fields and files come apart again with the standard library's own parser."""
    (tmp_path / "photo.png").write_bytes(bytes(range(1, 128)))
    parts = {
        "title": "a {{ iteration }}",
        "photo": {"file": "photo.png"},
        "again": {"file": "photo.png", "filename": "b.x", "type": "x/y"},
    }
    body = {"name": "r", "post": "/echo", "multipart": parts}
    load = handle(tmp_path, shared.port, times(1), {**body, "checks": ['json.body contains "a 0"', "status == 200"]})
    assert run(load).counts.ok == 1
    from email.parser import BytesParser

    from shakedown.load.http.requests import prepare
    from shakedown.load.recorder import Recorder

    data, _ = prepare(load.spec, Recorder("l"))[0].render({"iteration": 0})
    message = BytesParser().parsebytes(data.partition(b"\r\n")[2])
    found = {part.get_param("name", header="content-disposition"): part for part in message.get_payload()}
    assert found["title"].get_payload() == "a 0"
    assert found["photo"].get_payload(decode=True) == bytes(range(1, 128))
    assert [(found[name].get_filename(), found[name].get_content_type()) for name in ("photo", "again")] == [
        ("photo.png", "image/png"), ("b.x", "x/y"),
    ]  # fmt: skip


@pytest.mark.parametrize("order", ["sequential", "shuffled"])
@pytest.mark.parametrize("workers", [1, 2])
def test_rows_are_used_once_over_all_workers(tmp_path, order, workers):
    """Every row comes exactly once before any comes again, whichever worker takes it; the order is the seed's."""
    (tmp_path / "rows.csv").write_text("id\n" + "\n".join(map(str, range(40))))
    note = {"name": "n", "get": "/note?row={{ row.id }}"}
    with serving() as server:
        run(
            handle(
                tmp_path,
                server.port,
                times(40, vus=4),
                note,
                data={"file": "rows.csv", "order": order},
                workers=workers,
            )
        )
        assert sorted(server.seen()["rows"], key=int) == [str(number) for number in range(40)]


def test_a_user_keeps_a_row_of_its_own(tmp_path):
    """Unique rows: as many rows are seen as there are users, over two workers."""
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps({"id": number}) + "\n" for number in range(6)))
    executor = {"type": "per-vu-iterations", "vus": 6, "iterations": 5}
    note = {"name": "n", "get": "/note?row={{ row.id }}"}
    with serving() as server:
        run(handle(tmp_path, server.port, executor, note, data={"file": "rows.jsonl", "order": "unique"}, workers=2))
        rows = server.seen()["rows"]
    assert {row: rows.count(row) for row in set(rows)} == {str(number): 5 for number in range(6)}


@pytest.mark.parametrize(("order", "executor"), [("sequential", times(9)), ("unique", times(20, vus=9, duration=5))])
def test_rows_that_are_used_up_stop_the_load_and_say_so(tmp_path, shared, order, executor):
    """No row is ever used again in silence when it is not to be."""
    (tmp_path / "rows.csv").write_text("id\n1\n2\n3\n")
    note = {"name": "n", "get": "/note?row={{ row.id }}"}
    data = {"file": "rows.csv", "order": order, "exhausted": "stop"}
    load = handle(tmp_path, shared.port, executor, note, data=data)
    load.start()
    with pytest.raises(LoadError, match=r"rows.csv has no row left: 3 rows"):
        load.wait(threading.Event())


def test_an_expected_refusal_is_a_success_row_by_row(tmp_path):
    """A 422 that the row expects is right; one that it does not expect is not, and the other way round."""
    rows = [("good", 200, 200), ("bad", 422, 422), ("surprise", 422, 200), ("lenient", 200, 422)]
    (tmp_path / "rows.csv").write_text("row,status,expected\n" + "".join(f"{a},{b},{c}\n" for a, b, c in rows))
    note = {"name": "n", "get": "/note?row={{ row.row }}&status={{ row.status }}",
            "checks": ["status == {{ row.expected }}", "json.row == {{ row.row | tojson }}"]}  # fmt: skip
    with serving() as server:
        result = run(handle(tmp_path, server.port, times(40, vus=4), note, data={"file": "rows.csv"}, workers=2))
        assert server.counts["requests"] == 40
    assert (result.counts.ok, result.counts.failed, errors(result)) == (20, 20, {"status": 20})


def test_think_time_is_in_no_response_time(tmp_path):
    """The user is busy while it thinks, but neither request counts the pause."""
    pause = {"think_time": "300ms"}
    with serving() as server:
        first, second = {"name": "a", "get": "/echo", **pause}, {"name": "b", "get": "/echo", **pause}
        begun = time.monotonic()
        result = run(handle(tmp_path, server.port, times(3), first, second))
        assert server.counts["requests"] == 6
    assert time.monotonic() - begun >= 6 * 0.299
    assert result.counts.ok == 3
    assert all(bucket.response.max < 0.29 for bucket in result.buckets.values())


def test_a_pause_that_the_end_cuts_off(tmp_path, shared):
    """An iteration cut off between its requests is cancelled, one whose requests were all answered is not."""
    slow = {"name": "a", "get": "/echo", "think_time": "60s"}
    executor = {"type": "constant-vus", "vus": 2, "duration": 0.5, "graceful_stop": 0.2}
    cut = run(handle(tmp_path, shared.port, executor, slow, {"name": "b", "get": "/echo"}))
    whole = run(handle(tmp_path, shared.port, executor, slow))
    assert (cut.counts.cancelled, cut.counts.ok, cut.counts.requests) == (2, 0, 2)
    assert (whole.counts.cancelled, whole.counts.ok, whole.counts.requests) == (0, 2, 2)


@pytest.mark.parametrize(
    ("auth", "place"),
    [
        ({"basic": {"username": "ann", "password": "s3cret-word"}}, ("headers.authorization", "Basic YW5uOnMzY3JldC13b3Jk")),
        ({"bearer": "s3cret-word"}, ("headers.authorization", "Bearer s3cret-word")),
        ({"api_key": {"header": "X-Api-Key", "value": "s3cret-word"}}, ("headers.x-api-key", "s3cret-word")),
        ({"api_key": {"query": "key", "value": "s3cret word"}}, ("target", "/echo?a=1&key=s3cret%20word")),
    ],
)  # fmt: skip
def test_who_asks_is_said(tmp_path, shared, auth, place):
    """Each form of auth arrives as the standards have it; it stands in no error's example."""
    checks = [f"json.{place[0]} == {json.dumps(place[1])}"]
    result = run(
        handle(tmp_path, shared.port, times(1), {"name": "r", "get": "/echo?a=1", "checks": checks}, auth=auth)
    )
    assert result.counts.ok == 1
    wrong = {"name": "r", "get": "/leak", "checks": ["status == 500", 'body contains "never"']}
    result = run(handle(tmp_path, shared.port, times(1), wrong, auth=auth))
    assert errors(result) == {"check": 1}
    example = result.errors[0].example
    assert '"error": "no"' in example
    assert not any(secret in example for secret in ("s3cret", "k-very-secret", "YW5u"))
    assert len(example) <= 300


@pytest.mark.parametrize(
    ("path", "timeout", "kind"),
    [
        ("/slow-first", "400ms", "timeout-first-byte"), ("/slow-first", {"first_byte": "400ms", "total": "9s"}, "timeout-first-byte"),
        ("/slow-body", {"first_byte": "400ms", "total": "600ms"}, "timeout-total"), ("/slow-body", "400ms", "timeout-total"),
        ("/hostile/drip", {"first_byte": "300ms", "total": "400ms"}, "timeout-total"),
    ],
)  # fmt: skip
def test_time_outs_by_phase(tmp_path, shared, path, timeout, kind):
    """A time-out says what was waited for, and counts at least its limit."""
    result = run(handle(tmp_path, shared.port, times(3), {"name": "r", "get": path, "timeout": timeout}))
    assert (result.counts.timed_out, errors(result)) == (3, {kind: 3})
    limit = 0.6 if isinstance(timeout, dict) and timeout["total"] == "600ms" else 0.4
    assert all(bucket.response.min >= limit for bucket in result.buckets.values())


def test_a_connection_that_does_not_come(tmp_path):
    """A full queue of connections: the time-out is the connection's own."""
    import socket

    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            request = {"name": "r", "get": "/", "timeout": {"connect": "300ms", "total": "9s"}}
            result = run(handle(tmp_path, port, times(3), request))
    assert errors(result) == {"timeout-connect": 3}


def test_redirects_are_followed_within_limits(tmp_path):
    """Each hop is asked for once, within one request's time; a chain that is too long or circular is an error."""
    with serving() as server:
        good = run(
            handle(
                tmp_path,
                server.port,
                times(5),
                {"name": "r", "get": "/redirect/3", "checks": ["status == 200"]},
                redirects=3,
            )
        )
        counts = server.counts
        assert (good.counts.ok, good.counts.requests, counts["requests"], counts["connections"]) == (5, 5, 20, 1)
        long = run(handle(tmp_path, server.port, times(5), {"name": "r", "get": "/redirect/4"}, redirects=3))
        circle = run(handle(tmp_path, server.port, times(5), {"name": "r", "get": "/loop"}, redirects=30))
        assert (errors(long), errors(circle), server.counts["GET /loop"]) == ({"redirect": 5}, {"redirect": 5}, 5)
        off = run(
            handle(tmp_path, server.port, times(5), {"name": "r", "get": "/redirect/3", "checks": ["status == 302"]})
        )
    assert off.counts.ok == 5


@pytest.mark.parametrize(
    ("status", "method", "body"), [(302, "GET", ""), (303, "GET", ""), (307, "POST", "hello"), (308, "POST", "hello")]
)
def test_redirects_keep_or_change_the_method(tmp_path, shared, status, method, body):
    """A POST becomes a GET after 302 and 303, and stays one with its body after 307 and 308."""
    checks = [f'json.method == "{method}"', f'json.body == "{body}"']
    request = {"name": "r", "post": f"/redirect/1?status={status}", "body": "hello", "checks": checks}
    assert run(handle(tmp_path, shared.port, times(2), request, redirects=1)).counts.ok == 2


def test_no_redirect_leaves_the_target_unless_it_may(tmp_path):
    """Another host is not gone to; one that is allowed is, and is told neither who asks nor any cookie."""
    with serving() as home, serving() as other:
        away = {"name": "r", "get": f"/away?to=http://localhost:{other.port}/echo"}
        secret = {"auth": {"bearer": "s3cret-word"}, "headers": {"X-Api-Key": "k-secret", "Cookie": "a=secret"}}
        result = run(handle(tmp_path, home.port, times(4), away, redirects=5, **secret))
        assert (errors(result), other.counts) == ({"redirect": 4}, {})
        rules = {"max": 5, "allow": [f"localhost:{other.port}"]}
        checks = ["not json.headers.authorization exists", "not json.headers.x-api-key exists", "not json.headers.cookie exists",
                  f'json.headers.host == "localhost:{other.port}"']  # fmt: skip
        result = run(handle(tmp_path, home.port, times(4), {**away, "checks": checks}, redirects=rules, **secret))
        assert (errors(result), other.counts["GET /echo"]) == ({}, 4)


def test_a_connection_for_each_request(tmp_path):
    """per-request: as many connections as requests; keep-alive: one for each user."""
    request = {"name": "r", "get": "/echo"}
    with serving() as server:
        assert run(handle(tmp_path, server.port, times(20, vus=2), request, connection="per-request")).counts.ok == 20
        assert server.counts["connections"] == 20
    with serving() as server:
        assert run(handle(tmp_path, server.port, times(20, vus=2), request)).counts.ok == 20
        assert server.counts["connections"] == 2


@pytest.mark.parametrize("path", ["/gzip", "/deflate"])
def test_compressed_bodies_are_read(tmp_path, shared, path):
    """Checks and extractions look at what was packed."""
    request = {"name": "r", "get": path, "checks": ["json.a == 1"], "extract": {"a": "json.a"}}
    assert run(handle(tmp_path, shared.port, times(3), request, compression=True)).counts.ok == 3


def test_torn_and_explosive_bodies_cost_an_error_and_no_memory(tmp_path, shared):
    """200 MB of zeros packed small are not unpacked; a body that ends too early is damaged."""
    load = handle(
        tmp_path, shared.port, times(20), {"name": "r", "get": "/bomb", "checks": ["json.a == 1"]}, compression=True
    )
    growth, result = watched(load)
    assert (errors(result), growth < 50_000_000) == ({"check": 20}, True)
    torn = {"name": "r", "get": "/torn-gzip", "checks": ["json.a == 1"]}
    assert errors(run(handle(tmp_path, shared.port, times(2), torn, compression=True))) == {"protocol": 2}


def test_a_stale_connection_is_no_error_of_the_service(tmp_path):
    """What is idempotent is sent once more and counted; a POST is not, unless it may be."""
    with serving() as server:
        result = run(handle(tmp_path, server.port, times(10), {"name": "r", "get": "/once"}))
        counts = server.counts
        assert (result.counts.ok, result.counts.reconnects, errors(result)) == (10, 9, {})
        assert (counts["requests"], counts["dropped"], counts["connections"]) == (19, 9, 10)
    with serving() as server:
        result = run(handle(tmp_path, server.port, times(10), {"name": "r", "post": "/once"}))
        assert (result.counts.ok, result.counts.reconnects, errors(result)) == (5, 0, {"closed": 5})
        assert server.counts["requests"] == 10
        result = run(handle(tmp_path, server.port, times(10), {"name": "r", "post": "/once", "retry_stale": True}))
        assert (result.counts.ok, result.counts.reconnects) == (10, 9)


def watched(load: LoadHandle) -> tuple[int, LoadResult]:
    """By how many bytes the worker grew, and the result."""
    load.start()
    process = psutil.Process(load._workers[0].process.pid)
    begin = most = process.memory_info().rss
    while load._workers[0].process.poll() is None:
        try:
            most = max(most, process.memory_info().rss)
        except psutil.Error:
            break
        time.sleep(0.02)
    return most - begin, load.wait(threading.Event())


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("garbage", "protocol"), ("http09", "protocol"), ("half", "closed"), ("half-head", "closed"), ("bad-chunks", "protocol"),
        ("half-chunk", "closed"), ("nothing", "closed"), ("reset", "reset"), ("too-long", "protocol"), ("two-lengths", "protocol"),
        ("two-answers", "protocol"), ("upgrade", "protocol"), ("bad-status", "protocol"), ("both-lengths", "protocol"), ("negative-length", "protocol"),
        ("nul-header", "protocol"),
    ],
)  # fmt: skip
def test_rubbish_costs_one_error_each(tmp_path, kind, expected):
    """Each wrong answer is one error of its class, asked for once."""
    with serving() as server:
        result = run(
            handle(tmp_path, server.port, times(12, vus=2), {"name": "r", "get": f"/hostile/{kind}"}, workers=2)
        )
        assert (errors(result), result.counts.failed, server.counts["requests"]) == ({expected: 12}, 12, 12)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("endless-header", "protocol"), ("endless-headers", "protocol"), ("endless-trailers", "protocol"),
        ("endless-trailer", "protocol"), ("endless-chunk-size", "protocol"), ("continue-flood", "protocol"),
        ("endless-body", "timeout-total"), ("endless-chunks", "timeout-total"),
    ],
)  # fmt: skip
def test_what_never_ends_costs_no_memory(tmp_path, shared, kind, expected):
    """Endless heads end at a limit, endless bodies at the time-out; the worker stays small."""
    request = {"name": "r", "get": f"/hostile/{kind}", "timeout": "500ms", "checks": ['not body contains "y"']}
    growth, result = watched(handle(tmp_path, shared.port, times(4), request))
    assert errors(result) == {expected: 4}
    assert growth < 50_000_000


def test_a_gigabyte_is_counted_and_not_kept(tmp_path, shared):
    """1 GB of body: every byte counted, less than 50 MB held, and a check of the whole of it does not pass unseen."""
    request = {
        "name": "r",
        "get": "/hostile/gigabyte",
        "timeout": "100s",
        "checks": ["size == 1GB", 'body contains "xxx"'],
    }
    growth, result = watched(handle(tmp_path, shared.port, times(1, duration=120), request))
    assert (result.counts.ok, errors(result), growth < 50_000_000) == (1, {}, True)
    assert sum(bucket.bytes_received for bucket in result.buckets.values()) == 1_000_000_000


def test_what_was_not_kept_is_not_believed(tmp_path, shared):
    """`not body contains` of a body of which only the beginning is known does not hold."""
    request = {"name": "r", "get": "/big/3000000", "checks": ['not body contains "y"']}
    result = run(handle(tmp_path, shared.port, times(2), request))
    assert errors(result) == {"check": 2}
    assert "only the beginning" in result.errors[0].example


def test_hints_before_the_answer_are_no_answer(tmp_path, shared):
    """103 and 100 before the final status change nothing, on a connection that is used again."""
    request = {"name": "r", "get": "/hints", "checks": ["status == 200", "json.final == true"]}
    assert run(handle(tmp_path, shared.port, times(5), request)).counts.ok == 5


def test_an_answer_before_its_request_is_never_taken_for_one(tmp_path):
    """A server that speaks first: no answer passes for that of another request than its own."""
    own = {"name": "r", "get": "/echo?{{ iteration }}", "checks": ['json.target == "/echo?{{ iteration }}"']}
    with serving("early") as server:
        result = run(handle(tmp_path, server.port, times(6), own))
    assert result.counts.ok == 0
    assert sum(errors(result).values()) == 6


def test_an_answer_that_nobody_asked_for_ends_the_connection(tmp_path):
    """More answers on an idle connection: it is given up, and no request gets what was not its own."""
    own = {"name": "r", "get": "/extra?{{ iteration }}", "checks": ['json.target == "/extra?{{ iteration }}"']}
    executor = {"type": "constant-arrival-rate", "rate": 4, "duration": 2, "max_vus": 1}
    with serving() as server:
        result = run(handle(tmp_path, server.port, executor, own))
        counts = server.counts
    assert (result.counts.ok, counts["requests"], counts["connections"]) == (8, 8, 8)


def test_an_answer_without_a_body(tmp_path, shared):
    """HEAD, 204 and 304 have none whatever their fields say; the connection serves on."""
    requests = [
        {"name": name, "get": f"/bare/{status}", "checks": [f"status == {status}", "size < 1B"]}
        for name, status in (("a", 204), ("b", 304))
    ]
    head = {"name": "h", "head": "/bare/200", "checks": ['header.content-length == "5"']}
    with serving() as server:
        result = run(handle(tmp_path, server.port, times(5), *requests, head))
        assert (result.counts.ok, errors(result), server.counts["connections"]) == (5, {}, 1)


def test_half_a_secret_is_no_example(tmp_path, shared):
    """A secret that stands where an example's text is cut is not shown in part."""
    request = {"name": "r", "post": "/echo?" + "x" * 90, "body": "s3cret-word" * 20, "checks": ["status == 500"]}
    result = run(
        handle(tmp_path, shared.port, times(1), {**request, "checks": ["json.a == 1"]}, auth={"bearer": "s3cret-word"})
    )
    assert "s3c" not in result.errors[0].example


def test_nobody_by_that_name(tmp_path):
    """A host that does not resolve is `dns`; a port that nobody listens on is `refused`."""
    load = handle(tmp_path, 80, times(2), {"name": "r", "get": "/"})
    target = Target(host="no-such-host.invalid", port=80)
    load = LoadHandle(load.spec.model_copy(update={"target": target}), lambda _: None)
    assert errors(run(load)) == {"dns": 2}
    assert errors(run(handle(tmp_path, free_port(), times(2), {"name": "r", "get": "/"}))) == {"refused": 2}


@pytest.fixture(scope="module")
def certificates(tmp_path_factory) -> Path:
    """An authority of our own, a server's and a client's certificate, and those of a stranger."""
    import trustme

    folder = tmp_path_factory.mktemp("tls")
    for who in ("ours", "strange"):
        authority = trustme.CA()
        authority.cert_pem.write_to_path(folder / f"{who}.ca")
        authority.issue_cert("127.0.0.1", "shop.example").private_key_and_cert_chain_pem.write_to_path(
            folder / f"{who}.server"
        )
        authority.issue_cert("tester@example.org").private_key_and_cert_chain_pem.write_to_path(
            folder / f"{who}.client"
        )
        authority.issue_cert("other.example").private_key_and_cert_chain_pem.write_to_path(folder / f"{who}.other")
    return folder


@pytest.mark.parametrize(
    ("server", "tls", "expected"),
    [
        (["ours.server"], {"ca": "ours.ca"}, {}),
        (["ours.server"], {"ca": "ours.ca", "server_name": "shop.example"}, {}),
        (["ours.server"], {"ca": "ours.ca", "server_name": "bank.example"}, {"tls": 4}),
        (["ours.other"], {"ca": "ours.ca"}, {"tls": 4}),
        (["strange.server"], {"ca": "ours.ca"}, {"tls": 4}),
        (["strange.server"], {"insecure": True}, {}),
        (["ours.server", "ours.ca"], {"ca": "ours.ca", "certificate": "ours.client"}, {}),
    ],
)  # fmt: skip
def test_certificates_are_looked_at(tmp_path, certificates, server, tls, expected):
    """Our own CA, its names, client certificates, and `insecure`, which the plan's notes say aloud."""
    paths = {key: str(certificates / value) if key in ("ca", "certificate") else value for key, value in tls.items()}
    with serving("good", *(str(certificates / name) for name in server)) as running:
        request = {"name": "r", "get": "/echo", "checks": ["status == 200"]}
        load = handle(tmp_path, running.port, times(4), request, tls=paths)
        assert errors(run(load)) == expected
    assert bool(load.spec.work.http.notes) == ("insecure" in tls)


def test_a_client_without_its_certificate_is_not_let_in(tmp_path, certificates):
    """The service's refusal in the handshake, or just after it, is an error; nothing passes."""
    with serving("good", str(certificates / "ours.server"), str(certificates / "ours.ca")) as running:
        load = handle(
            tmp_path, running.port, times(4), {"name": "r", "get": "/echo"}, tls={"ca": str(certificates / "ours.ca")}
        )
        result = run(load)
    assert result.counts.failed == 4
    assert set(errors(result)) <= {"tls", "reset", "closed"}


def test_a_redirect_to_a_service_without_tls_is_not_followed(tmp_path, certificates):
    """From https to http is another place: it must be allowed."""
    with serving("good", str(certificates / "ours.server")) as running:
        away = {"name": "r", "get": f"/away?to=http://127.0.0.1:{running.port}/echo"}
        load = handle(tmp_path, running.port, times(2), away, tls={"ca": str(certificates / "ours.ca")}, redirects=2)
        assert errors(run(load)) == {"redirect": 2}
