"""Suites as real pytest processes, whatever they do."""

import sys
import threading
import time
from pathlib import Path

import pytest

from shakedown.clock import RunClock
from shakedown.errors import SuiteError
from shakedown.guard import Journal
from shakedown.plan.model import Suite, UseSuite
from shakedown.records.suites import SuiteResult, TestStatus
from shakedown.suites import run_suite

pytestmark = pytest.mark.integration


def run(tmp_path: Path, code: str | None, **options) -> SuiteResult:
    folder = tmp_path / "suite"
    folder.mkdir(exist_ok=True)
    if code is not None:
        (folder / "test_it.py").write_text(code)
    stop = options.pop("stop", threading.Event())
    suite = Suite(pytest=options.pop("path", "suite"), python=options.pop("python", sys.executable), **options)
    return run_suite(
        UseSuite(suite="s"), suite, base=tmp_path, addresses={"SHAKEDOWN_API_HTTP": "http://x"}, out=tmp_path / "out", stage="x",
        repetition=1, clock=RunClock.start(), stop=stop, journal=Journal(tmp_path / "j.jsonl", run="r", plan="p"),
    )  # fmt: skip


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
    result = run(tmp_path, "import time\ndef test_a(): pass\ndef test_hang(): time.sleep(600)\n", timeout=4)
    assert "not done after 4 s" in result.problem
    assert [outcome.status for outcome in result.outcomes] == [TestStatus.PASSED]
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
    assert "not there" in run(tmp_path, None, path="nowhere", optional=True).skipped
    with pytest.raises(SuiteError, match="no such path"):
        run(tmp_path, None, path="nowhere")
    with pytest.raises(SuiteError, match="cannot be started"):
        run(tmp_path, "def test_a(): pass", python="/no/such/python")
