"""Suites as real pytest processes, whatever they do."""

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from shakedown.clock import RunClock
from shakedown.errors import SuiteError
from shakedown.guard import Journal
from shakedown.plan.model import UseSuite
from shakedown.plan.suites import Suite
from shakedown.records.suites import CUT_SHORT, SuiteResult, TestStatus
from shakedown.suites import place_of, run_suite
from shakedown.suites.places import Here

pytestmark = pytest.mark.integration


def run(tmp_path: Path, code: str | None, **options) -> SuiteResult:
    folder = tmp_path / "suite"
    folder.mkdir(exist_ok=True)
    if code is not None:
        (folder / "test_it.py").write_text(code)
    stop = options.pop("stop", threading.Event())
    repetition = options.pop("repetition", 1)
    kind = {} if "unittest" in options or "command" in options else {"pytest": options.pop("path", "suite")}
    if "command" not in options:
        kind["python"] = options.pop("python", sys.executable)
    suite = Suite(**kind, **options)
    place = Here("s", tmp_path, tmp_path / "out", Journal(tmp_path / "j.jsonl", run="r", plan="p"))
    return run_suite(
        UseSuite(suite="s"), suite, place, base=tmp_path, addresses={"SHAKEDOWN_API_HTTP": "http://x"}, out=tmp_path / "out",
        stage="x", repetition=repetition, clock=RunClock.start(), stop=stop,
    )  # fmt: skip


def statuses(result: SuiteResult) -> dict[str, list[str]]:
    """Each test's outcomes, in order."""
    found: dict[str, list[str]] = {}
    for outcome in result.outcomes:
        found.setdefault(outcome.test.rpartition("::")[2].rpartition(".")[2], []).append(outcome.status.value)
    return found


def test_outcomes_under_their_own_names(tmp_path):
    """Passed, failed, broken and skipped tests are told apart, with message and address."""
    result = run(
        tmp_path,
        "import os, pytest\n"
        "def test_good(): assert os.environ['SHAKEDOWN_API_HTTP'] == 'http://x'\n"
        "def test_bad(): assert 1 == 2\n"
        "@pytest.fixture\ndef broken(): raise RuntimeError('no fixture')\n"
        "def test_broken(broken): pass\n"
        "@pytest.mark.skip\ndef test_skipped(): pass\n",
    )
    assert {outcome.test.split("::")[1]: outcome.status for outcome in result.outcomes} == {
        "test_good": TestStatus.PASSED, "test_bad": TestStatus.FAILED, "test_broken": TestStatus.ERROR, "test_skipped": TestStatus.SKIPPED,
    }  # fmt: skip
    assert result.problem is None
    assert "1 == 2" in next(outcome.message for outcome in result.outcomes if outcome.status is TestStatus.FAILED)
    assert result.peak_memory > 1e6
    assert "-m pytest" in result.command


def test_several_processes_keep_the_names(tmp_path):
    """Under xdist every test comes once, under its unmodified name."""
    code = "import pytest\n@pytest.mark.parametrize('n', range(10))\ndef test_n(n): pass\n"
    result = run(tmp_path, code, workers=2)
    assert sorted(outcome.test.split("::")[1] for outcome in result.outcomes) == sorted(
        f"test_n[{n}]" for n in range(10)
    )


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("", "no test ran"),
        ("import nothing_of_this_name\n", "could not be collected"),
        ("import os\ndef test_a(): pass\ndef test_crash(): os._exit(3)\n", "pytest ended with 3"),
    ],
)
def test_what_cannot_be_judged_says_why(tmp_path, code, words):
    """No test, no collection, a crash: a problem, never a pass."""
    result = run(tmp_path, code)
    assert words in result.problem


def test_a_hanging_suite_is_ended(tmp_path):
    """The whole tree ends after the time-out, and what was known is kept."""
    result = run(tmp_path, "import time\ndef test_a(): pass\ndef test_hang(): time.sleep(600)\n", timeout=10)
    assert "not done after 10 s" in result.problem
    assert statuses(result) == {"test_a": ["passed"], "test_hang": ["timed out"]}
    assert result.exit_code is None


def test_the_stop_event_ends_it(tmp_path):
    """An interrupted run does not wait for a suite."""
    stop = threading.Event()
    threading.Timer(2, stop.set).start()
    begun = time.monotonic()
    assert run(tmp_path, "import time\ndef test_hang(): time.sleep(600)\n", stop=stop).problem == "interrupted"
    assert time.monotonic() - begun < 60


def test_absent_suites(tmp_path):
    """An optional suite that is absent is skipped and said so; any other is an error; so is an interpreter that is none."""
    assert (
        "no such path: nowhere, and the suite is optional" in run(tmp_path, None, path="nowhere", optional=True).skipped
    )
    with pytest.raises(SuiteError, match="no such path"):
        run(tmp_path, None, path="nowhere")
    with pytest.raises(SuiteError, match="cannot be started"):
        run(tmp_path, "def test_a(): pass", python="/no/such/python")


# --------------------------------------------------------------------------------------------------------- what pytest can
def test_one_test_that_hangs_does_not_end_the_others(tmp_path):
    """`test_timeout` ends the test that takes too long, by name; the next one runs, and its alarm is its own again."""
    code = (
        "import signal, time\n"
        "def test_hang(): time.sleep(600)\n"
        "def test_next(): assert signal.getsignal(signal.SIGALRM) != signal.SIG_IGN; time.sleep(0.1)\n"
    )
    result = run(tmp_path, code, test_timeout=1)
    assert statuses(result) == {"test_hang": ["timed out"], "test_next": ["passed"]}
    assert result.problem is None


@pytest.mark.parametrize("workers", [1, 2])
def test_a_test_that_kills_its_process_is_named(tmp_path, workers):
    """Crashed, under its own name; with several processes the others' tests still run."""
    code = "import os, pytest\n@pytest.mark.parametrize('n', range(4))\ndef test_n(n):\n    if n == 1: os.kill(os.getpid(), 9)\n"
    result = run(tmp_path, code, workers=workers)
    found = statuses(result)
    assert found["test_n[1]"] == ["crashed"]
    assert found["test_n[0]"] == ["passed"]
    if workers > 1:
        assert found["test_n[3]"] == ["passed"]
    else:
        assert "ended with -9" in result.problem


@pytest.mark.parametrize("workers", [1, 2])
def test_each_test_several_times_in_one_process(tmp_path, workers):
    """`count` runs every test so often under its own name, with fixtures and an instance of its own each time."""
    code = (
        "import pytest, unittest\n"
        "class TestClass:\n"
        "    used = False\n"
        "    def test_method(self): assert not self.used; self.used = True\n"
        "class Case(unittest.TestCase):\n"
        "    def setUp(self): self.number = 1\n"
        "    def test_case(self): self.assertEqual(self.number, 1); self.number = 2\n"
        "made = []\n"
        "@pytest.fixture\ndef fresh(): made.append(1); return len(made)\n"
        "def test_flaky(fresh): assert fresh != 2\n"
        "def test_good(): pass\n"
    )
    found = statuses(run(tmp_path, code, count=3, workers=workers))
    always = {name: ["passed"] * 3 for name in ("test_good", "test_method", "test_case")}
    assert found == {"test_flaky": ["passed", "failed", "passed"], **always}


def test_shuffled_with_a_recorded_seed(tmp_path):
    """Two repetitions have the same order, the next two another one; whatever the order, every test runs once."""
    code = "import pytest\n@pytest.mark.parametrize('n', range(30))\ndef test_n(n): pass\n"

    def order(repetition):
        result = run(tmp_path, code, shuffle=True, repetition=repetition)
        assert f"SHAKEDOWN_ORDER={result.order}" in result.command
        return [outcome.test for outcome in result.outcomes]

    first, again, second = order(1), order(2), order(3)
    assert first == again
    assert first != second
    assert sorted(first) == sorted(second)
    assert len(set(first)) == 30


def test_chosen_and_ignored(tmp_path):
    """Markers, keywords, ignored paths and arguments choose what runs."""
    folder = tmp_path / "suite"
    folder.mkdir()
    (folder / "test_other.py").write_text("def test_other(): pass\n")
    code = "import pytest\n@pytest.mark.skipif(False, reason='')\ndef test_marked(): pass\ndef test_large(): pass\ndef test_small(): pass\n"
    assert set(statuses(run(tmp_path, code, ignore=["suite/test_other.py"], keyword="not large"))) == {
        "test_marked", "test_small",
    }  # fmt: skip
    assert set(statuses(run(tmp_path, code, markers="skipif"))) == {"test_marked"}


def test_odd_names(tmp_path):
    """Parameters with any character, in any script, and very long, keep their names; each database can hold them."""
    code = (
        "import pytest\n"
        "odd = ['a b', 'x[y]', 'a::b', 'a/b', 'é', '日本', '\\x00', '\\n', '\"', '%s', '|`<b>', pytest.param('long', id='x' * 3000), '']\n"
        "@pytest.mark.parametrize('value', odd)\ndef test_odd(value): assert value != 'a b'\n"
        "@pytest.mark.parametrize('n', [1, 2], ids=['\\ud800', 'ok'])\ndef test_half(n): raise ValueError('\\ud800\\0')\n"
    )
    (tmp_path / "suite").mkdir()
    settings = "disable_test_id_escaping_and_forfeit_all_rights_to_community_support = true"
    (tmp_path / "suite" / "pytest.ini").write_text(f"[pytest]\n{settings}\n")
    result = run(tmp_path, code)
    names = [outcome.test.partition("::")[2] for outcome in result.outcomes]
    assert len(set(names)) == 15
    assert {"test_odd[a b]", "test_odd[x[y]]", "test_odd[a::b]", "test_odd[é]", "test_odd[日本]"} <= set(names)
    assert max(map(len, names)) > 3000
    for outcome in result.outcomes:
        text = outcome.test + outcome.message + outcome.traceback
        assert "\0" not in text
        text.encode()
    assert sum(outcome.status.bad for outcome in result.outcomes) == 3


def test_the_command_repeats_it(tmp_path):
    """Pasted into a shell, the command runs the same tests in the same order with the same settings."""
    code = (
        "import os, pytest\n"
        "@pytest.mark.parametrize('n', range(8))\n"
        "def test_n(n):\n    with open('seen', 'a') as file: file.write(f'{n} {os.environ[\"WORD\"]}\\n')\n"
    )
    result = run(tmp_path, code, shuffle=True, count=2, environment={"WORD": "it's"}, cwd=".")
    seen = tmp_path / "seen"
    first = seen.read_text()
    seen.unlink()
    done = subprocess.run(["sh", "-c", result.command], capture_output=True, text=True, check=False, cwd="/")
    assert done.returncode == 0, done.stdout + done.stderr
    assert seen.read_text() == first
    assert len(first.splitlines()) == 16


def test_a_lost_worker_is_nobodys_failure(tmp_path):
    """A worker process that ends while it runs no test, and workers that collect different tests: trouble, no test's."""
    (tmp_path / "suite").mkdir()
    (tmp_path / "suite" / "conftest.py").write_text(
        "import os\n"
        "def pytest_collection_finish(session):\n"
        "    if os.environ.get('PYTEST_XDIST_WORKER') == 'gw1': os._exit(7)\n"
    )
    result = run(tmp_path, "def test_a(): pass\ndef test_b(): pass\n", workers=2)
    assert result.problem
    assert not result.problem.startswith(CUT_SHORT)
    assert not any(outcome.status.bad for outcome in result.outcomes)
    (tmp_path / "suite" / "conftest.py").unlink()
    differing = "import os, pytest\n@pytest.mark.parametrize('n', [os.getpid()])\ndef test_n(n): pass\n"
    result = run(tmp_path, differing, workers=2)
    assert result.problem
    assert not result.problem.startswith(CUT_SHORT)


def test_tests_that_never_ran_are_no_pass(tmp_path):
    """`max_failures` ends a suite early: what failed counts, and that the rest did not run is said."""
    code = "import pytest\n@pytest.mark.parametrize('n', range(20))\ndef test_n(n): assert n > 1\n"
    result = run(tmp_path, code, max_failures=2)
    assert statuses(result) == {"test_n[0]": ["failed"], "test_n[1]": ["failed"]}
    assert result.problem == f"{CUT_SHORT}it stopped after 2 failures; 18 of 20 tests did not run"


# -------------------------------------------------------------------------------------------------------- other programs
CASES = (
    "import os, time, unittest\n"
    "class Cases(unittest.TestCase):\n"
    "    def test_good(self): assert os.environ['SHAKEDOWN_API_HTTP']\n"
    "    def test_bad(self): self.assertEqual(1, 2)\n"
    "    def test_broken(self): raise RuntimeError('no')\n"
    "    @unittest.skip('later')\n"
    "    def test_skipped(self): pass\n"
    "    def test_slow(self): time.sleep(600)\n"
)


def test_unittest(tmp_path):
    """Discovery, outcomes, and a time-out for each test, without pytest."""
    result = run(tmp_path, CASES, unittest="suite", test_timeout=1)
    assert statuses(result) == {
        "test_good": ["passed"], "test_bad": ["failed"], "test_broken": ["error"], "test_skipped": ["skipped"],
        "test_slow": ["timed out"],
    }  # fmt: skip
    assert result.problem is None


@pytest.mark.parametrize(
    ("command", "options", "expected"),
    [
        (["exit 0"], {}, {"s": ["passed"]}),
        (["echo lost; exit 3"], {}, {"s": ["failed"]}),
        ([r"printf '1..3\nok 1 - a\nnot ok 2 - b\nok 3 - c # SKIP no disk\n'"], {"results": "tap"},
         {"a": ["passed"], "b": ["failed"], "c": ["skipped"]}),
        (["""printf '<testsuite><testcase classname="x" name="a" time="1.5"/><testcase name="b"><failure message="no"/></testcase></testsuite>' > r.xml"""],
         {"results": "junit", "junit": "r.xml"}, {"a": ["passed"], "b": ["failed"]}),
    ],
)  # fmt: skip
def test_any_program(tmp_path, command, options, expected):
    """Exit code, TAP or JUnit XML say how its tests ended."""
    result = run(tmp_path, None, command=command, **options)
    assert statuses(result) == expected
    assert result.problem is None
    assert [outcome.message for outcome in result.outcomes if outcome.test == "s" and outcome.status.bad] in (
        [], ["exit code 3: lost"],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("command", "options", "words"),
    [
        (["echo hello"], {"results": "tap"}, "no TAP plan"),
        (["echo '1..0 # skipped: no compiler'"], {"results": "tap"}, "no test ran"),
        (["echo 'Bail out! no database'"], {"results": "tap"}, "no database"),
        (["true"], {"results": "junit", "junit": "r.xml"}, "wrote no r.xml"),
        (["echo '<a' > r.xml"], {"results": "junit", "junit": "r.xml"}, "no XML"),
        (["sleep 600"], {"timeout": 1}, "not done after 1 s"),
    ],
)
def test_a_program_that_does_not_say_is_no_pass(tmp_path, command, options, words):
    """No plan, no file, rubbish, no end: a problem with its reason."""
    assert words in run(tmp_path, None, command=command, **options).problem


# ------------------------------------------------------------------------------------------------------------ containers
def test_inside_a_services_container(make_system, web, tmp_path):
    """In the container of a service: its interpreter, its network names; nothing of ours stays, and what hangs is ended."""
    code = (
        "import os, time, unittest, urllib.request\n"
        "class Cases(unittest.TestCase):\n"
        "    def test_others_name(self):\n"
        "        self.assertEqual(urllib.request.urlopen(os.environ['SHAKEDOWN_WEB_HTTP']).status, 200)\n"
        "        self.assertIn('//web:8000', os.environ['SHAKEDOWN_WEB_HTTP'])\n"
    )
    (tmp_path / "test_inside.py").write_text(code)
    (tmp_path / "test_hang.py").write_text("import time\ntime.sleep(600)\n")
    system = make_system(
        {"web": {**web, "files": {"/tests/test_inside.py": "test_inside.py", "/hang/test_hang.py": "test_hang.py"}}}
    )

    def inside(**options):
        suite = Suite(service="web", **options)
        with place_of(system, suite, "s", tmp_path / "out", base=tmp_path, journal=system.journal) as place:
            return run_suite(
                UseSuite(suite="s"), suite, place, base=tmp_path, addresses=system.inner_environment(), out=tmp_path / "out",
                stage="x", repetition=1, clock=RunClock.start(), stop=threading.Event(),
            )  # fmt: skip

    assert statuses(inside(unittest="/tests")) == {"test_others_name": ["passed"]}
    assert "not done after 2 s" in inside(unittest="/hang", timeout=2).problem
    assert statuses(inside(command=["test -d /tests"])) == {"s": ["passed"]}
    code, output = system.runner("web").run_inside(["sh", "-c", "ls /tmp && cat /proc/[0-9]*/cmdline | tr '\\0' ' '"])
    assert code == 0
    assert "http.server" in output
    assert "shakedown" not in output
    assert "test_hang" not in output
    assert [intent for intent in system.journal.open_intents() if intent.kind == "process"] == []


def test_in_a_container_of_its_own(make_system, web, python_image, tmp_path, engine):
    """A container for the suite alone, on the run's network, with its files; gone afterwards."""
    (tmp_path / "cases").mkdir()
    (tmp_path / "cases" / "test_it.py").write_text(
        "import os, unittest, urllib.request\n"
        "class Cases(unittest.TestCase):\n"
        "    def test_reach(self): urllib.request.urlopen(os.environ['SHAKEDOWN_WEB_HTTP'])\n"
    )
    system = make_system({"web": web})
    suite = Suite(unittest="/cases", image=python_image, files={"/cases/test_it.py": "cases/test_it.py"})
    with place_of(system, suite, "s", tmp_path / "out", base=tmp_path, journal=system.journal) as place:
        result = run_suite(
            UseSuite(suite="s"), suite, place, base=tmp_path, addresses=system.inner_environment(), out=tmp_path / "out",
            stage="x", repetition=1, clock=RunClock.start(), stop=threading.Event(),
        )  # fmt: skip
    assert statuses(result) == {"test_reach": ["passed"]}
    names = [
        container.name
        for container in engine.containers.list(all=True, filters={"label": f"shakedown.run={system.run}"})
    ]
    assert not [name for name in names if "suite" in name]
