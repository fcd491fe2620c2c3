"""TCP, WebSocket and Python functions as loads against real servers."""

import textwrap

import pytest

from shakedown.errors import LoadError
from shakedown.records.load import Outcome
from shakedown.services.ports import free_port
from tests.integration.driver_loads import ended, kinds, run, server, times, times_each

pytestmark = pytest.mark.integration
LINE = {"until": "\r\n"}


# ------------------------------------------------------------------------------------------------------------------ tcp
def tcp(*operations, **changes) -> dict:
    return {"target": "a.line", "greeting": LINE, "operations": list(operations), **changes}


def test_answers_end_as_the_plan_says(tmp_path):
    """A delimiter, a length, a regular expression and the connection's end each bound an answer, also byte by byte."""
    operations = [
        {
            "name": "line",
            "send": "ECHO n{{ iteration }}\n",
            "expect": LINE,
            "checks": ['answer matches "^n[0-9]+\\r\\n$"'],
        },
        {"name": "hex", "hex": "4543484f2068650a", "expect": LINE, "checks": ['answer == "he\\r\\n"']},
        {"name": "slow", "send": "SLOWLY abc\n", "expect": {"regex": "c\r\n"}, "checks": ['answer == "abc\\r\\n"']},
        {"name": "two", "send": "TWICE xy\n", "expect": {"length": 4}, "checks": ['answer == "xy\\r\\n"', "size < 5B"]},
        {"name": "rest", "expect": {"length": 4}, "checks": ['answer == "xy\\r\\n"']},
        {"name": "all", "send": "ALL\n", "expect": {"close": True}, "checks": ['answer contains "aaa"', "size > 999B"]},
    ]
    with server("tcp") as port:
        result = run(tmp_path, times_each(3, 5), port, tcp=tcp(*operations))
    assert result.errors == []
    assert ended(result) == {(operation["name"], "ok"): 15 for operation in operations}
    assert result.counts.ok == 15
    assert sum(bucket.bytes_received for bucket in result.buckets.values()) >= 15 * 1000


@pytest.mark.parametrize(
    ("operation", "outcome", "kind"),
    [
        ({"send": "ENDLESS\n", "expect": LINE}, "failed", "protocol"),
        ({"send": "HALF\n", "expect": LINE}, "failed", "closed"),
        ({"send": "SILENCE\n", "expect": LINE, "timeout": "1s"}, "timed_out", "timeout-response"),
        ({"send": "ECHO a\n", "expect": LINE, "checks": ['answer contains "b"']}, "failed", "check"),
    ],
)
def test_wrong_answers_cost_one_error_each(tmp_path, operation, outcome, kind):
    """What never ends, ends early, never comes or is not as it should be is one classified error, and the load goes on."""
    with server("tcp") as port:
        result = run(tmp_path, times_each(2, 3), port, tcp=tcp({"name": "r", **operation}, limit="100KB"))
    assert ended(result) == {("r", outcome): 6}
    assert kinds(result) == {("r", kind): 6}
    if outcome == "timed_out":
        assert times(result, "r", Outcome.TIMED_OUT).min >= 1


def test_an_answer_of_the_past_is_nobodys(tmp_path):
    """Bytes that are left over are never taken for the answer to what is sent next."""
    operations = [
        {"name": "two", "send": "TWICE a\n", "expect": {"length": 6}},
        {"name": "next", "send": "ECHO b\n", "expect": LINE, "checks": ['answer == "b\\r\\n"']},
    ]
    with server("tcp") as port:
        result = run(
            tmp_path, times_each(1, 3), port,
            tcp=tcp({**operations[0], "expect": LINE}, {"name": "breath", "send": "ECHO x\n", "expect": LINE}),
        )  # fmt: skip
        whole = run(tmp_path, times_each(1, 3), port, tcp=tcp(*operations))
    assert ended(result) == {("two", "ok"): 3, ("breath", "failed"): 3}
    assert kinds(result) == {("breath", "protocol"): 3}
    assert whole.counts.ok == 3


def test_nobody_listens(tmp_path):
    """A refused connection is called so by every driver, and counts in each one's distribution."""
    port = free_port()
    spoken = {
        "tcp": tcp({"name": "r", "send": "x"}),
        "websocket": {"target": "a.ws", "operations": [{"name": "r", "ping": True}]},
        "redis": {"target": "a.redis", "operations": [{"name": "r", "command": ["PING"]}]},
        "sql": {"target": "a.db", "url": "postgresql+asyncpg://u@{host}:{port}/d", "operations": [{"name": "r", "statement": "select 1"}]},
    }  # fmt: skip
    for driver, words in spoken.items():
        result = run(tmp_path, times_each(2, 2), port, **{driver: words})
        assert ended(result) == {("r", "failed"): 4}
        assert kinds(result) == {("r", "refused"): 4}
        assert all(bucket.unanswered == bucket.response.count for bucket in result.buckets.values())


# ------------------------------------------------------------------------------------------------------------ websocket
def websocket(*operations, **changes) -> dict:
    return {"target": "a.ws", "operations": list(operations), **changes}


def test_messages_are_sent_awaited_and_counted(tmp_path):
    """Echo, many messages, messages until one fits, listening, pings and handshakes, all over kept connections."""
    many = {"do": "many", "number": 5}
    operations = [
        {"name": "open", "connect": True},
        {"name": "echo", "json": {"do": "echo", "text": "ü{{ iteration }}"}, "checks": ['json.echo matches "^ü[0-9]+$"', "messages == 1"]},
        {"name": "count", "json": many, "expect": 5, "checks": ["messages == 5", "json.number == 4"]},
        {"name": "until", "json": many, "until": ["json.number == 2"], "checks": ["messages == 3"]},
        {"name": "listen", "listen": "200ms", "checks": ["messages == 2"]},
        {"name": "ping", "ping": True, "checks": ["latency < 5s"]},
    ]  # fmt: skip
    with server("websocket") as port:
        result = run(tmp_path, times_each(3, 4), port, websocket=websocket(*operations))
    assert result.errors == []
    assert ended(result) == {(operation["name"], "ok"): 12 for operation in operations}
    assert times(result, "listen").min >= 0.19


@pytest.mark.parametrize(
    ("operation", "changes", "kind"),
    [
        ({"json": {"do": "close"}}, {}, "closed"),
        ({"json": {"do": "big", "size": 200_000}}, {"limit": "100KB"}, "closed"),
        ({"ping": True}, {"path": "/forbidden"}, "status"),
        ({"json": {"do": "echo", "text": "a"}, "checks": ['json.echo == "b"']}, {}, "check"),
        ({"json": {"do": "silence"}, "timeout": "1s"}, {}, "timeout-response"),
    ],
)
def test_wrong_messages_cost_one_error_each(tmp_path, operation, changes, kind):
    """A server that closes, refuses, says too much, something else or nothing is one classified error each time."""
    with server("websocket") as port:
        result = run(tmp_path, times_each(2, 3), port, websocket=websocket({"name": "r", **operation}, **changes))
    assert result.counts.failed + result.counts.timed_out == result.counts.requests == 6
    assert kinds(result) == {("r", kind): 6}


# --------------------------------------------------------------------------------------------------------------- python
def module(tmp_path, text: str) -> None:
    (tmp_path / "work.py").write_text(textwrap.dedent(text), encoding="utf-8")


@pytest.mark.parametrize("kind", ["def", "async def"])
def test_each_operation_of_a_function_is_counted(tmp_path, kind):
    """4 workers × 25 iterations × 3 measured operations, sync or async, in two processes: every one is there, once."""
    module(tmp_path, f"""
        import pathlib
        {kind} work(user):
            with user.measure("first"):
                print("this must not get in between")
            with user.measure("second"):
                with open(pathlib.Path(__file__).with_name("seen.txt"), "a") as file:
                    file.write(f"{{user.vu}} {{user.iteration}}\\n")
            with user.measure("third"):
                pass
    """)  # fmt: skip
    python = {"function": "work:work", "operations": ["first", "second", "third"]}
    result = run(tmp_path, times_each(4, 25), workers=2, python=python)
    assert ended(result) == {(name, "ok"): 100 for name in python["operations"]}
    lines = (tmp_path / "seen.txt").read_text().split("\n")[:-1]
    assert sorted(int(line.split()[1]) for line in lines) == list(range(100))
    assert {line.split()[0] for line in lines} == {"0", "1", "2", "3"}


@pytest.mark.parametrize("kind", ["def", "async def"])
def test_failures_on_purpose_stay_where_they_are(tmp_path, kind):
    """Every third operation raises: those fail under their class and place, all others succeed."""
    module(tmp_path, f"""
        class OutOfStock(Exception): pass
        {kind} work(user):
            if user.iteration % 5 == 1:
                raise ValueError("outside of all operations")
            with user.measure("buy"):
                if user.iteration % 3 == 0:
                    raise OutOfStock("none left")
    """)  # fmt: skip
    result = run(tmp_path, times_each(3, 20), python={"function": "work:work", "operations": ["buy"]})
    outside = len([number for number in range(60) if number % 5 == 1])
    sold_out = len([number for number in range(60) if number % 3 == 0 and number % 5 != 1])
    assert ended(result) == {
        ("buy", "ok"): 60 - outside - sold_out, ("buy", "failed"): sold_out, ("work", "failed"): outside,
    }  # fmt: skip
    assert kinds(result) == {("buy", "OutOfStock"): sold_out, ("work", "ValueError"): outside}
    example = next(error.example for error in result.errors if error.kind == "OutOfStock")
    assert "none left (work.py:8 in work)" in example


def test_a_function_that_never_returns(tmp_path):
    """It is counted as timed out with its limit, its thread is left behind and said so, and the worker ends."""
    module(tmp_path, """
        import time
        def work(user):
            with user.measure("wait"):
                if user.iteration % 4 == 0:
                    time.sleep(3600)
    """)  # fmt: skip
    python = {"function": "work:work", "operations": ["wait"], "timeout": "1s"}
    result = run(tmp_path, times_each(2, 10), python=python)
    assert ended(result) == {("wait", "ok"): 15, ("wait", "timed_out"): 5}
    assert times(result, "wait", Outcome.TIMED_OUT).min >= 1
    assert result.errors[0].kind == "timeout-function"
    assert "its thread was left behind" in result.errors[0].example


def test_users_are_set_up_and_torn_down(tmp_path):
    """`setup` and `teardown` run once for each user, and what they take is in no operation's time."""
    module(tmp_path, """
        import pathlib, time
        def note(word):
            with open(pathlib.Path(__file__).with_name("seen.txt"), "a") as file:
                file.write(word + "\\n")
        def setup(user):
            time.sleep(1)
            user.state.number = 0
            note("up")
        def work(user):
            user.state.number += 1
        def teardown(user):
            note(f"down {user.state.number}")
    """)  # fmt: skip
    python = {"function": "work:work", "setup": "work:setup", "teardown": "work:teardown"}
    result = run(tmp_path, times_each(3, 4), python=python)
    assert sorted((tmp_path / "seen.txt").read_text().split("\n")[:-1]) == ["down 4"] * 3 + ["up"] * 3
    assert ended(result) == {("work", "ok"): 12}
    assert times(result, "work").max < 0.9


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def other(user): pass", "no `work` that can be called"),
        ("import nothing_of_this_name", "cannot be imported"),
        ("raise SystemExit(3)", "cannot be imported"),
        ("def work(user):\n    yield 1", "is a generator"),
        ("def work(user):\n    async def more(): pass\n    return more()", "write it as `async def`"),
        ("def work(user):\n    with user.measure('unknown'): pass", "measures `unknown`"),
    ],
)
@pytest.mark.filterwarnings("ignore:coroutine")
def test_a_function_that_is_none_ends_the_load(tmp_path, text, words):
    """What cannot be called, or measures what the plan does not name, is said; it never looks like a load that went well."""
    module(tmp_path, text)
    with pytest.raises(LoadError, match=words):
        run(tmp_path, times_each(1, 3), python={"function": "work:work"})


def test_the_same_seed_gives_a_function_the_same_data(tmp_path):
    """What `user.random` gives follows from seed and iteration alone, however many workers there are."""
    module(tmp_path, """
        import pathlib
        def work(user):
            with open(pathlib.Path(__file__).with_name(f"seen.txt"), "a") as file:
                file.write(f"{user.iteration} {user.random.random()}\\n")
    """)  # fmt: skip
    seen = tmp_path / "seen.txt"
    for workers in (1, 2):
        run(tmp_path, times_each(2, 5), workers=workers, python={"function": "work:work"})
    lines = sorted(seen.read_text().split("\n")[:-1])
    assert len(lines) == 20
    assert lines[::2] == lines[1::2]


def test_cut_off_in_mid_call(tmp_path):
    """What is under way at the end of the grace is cancelled, exactly, in threads and on the loop."""
    for kind, pause in (("def", "time.sleep"), ("async def", "await asyncio.sleep")):
        module(tmp_path, f"import asyncio, time\n{kind} work(user):\n    {pause}(60)\n")
        executor = {"type": "constant-vus", "vus": 3, "duration": "500ms", "graceful_stop": "200ms"}
        result = run(tmp_path, executor, python={"function": "work:work"})
        assert ended(result) == {("work", "cancelled"): 3}
        assert result.counts.cancelled == result.counts.started == 3
