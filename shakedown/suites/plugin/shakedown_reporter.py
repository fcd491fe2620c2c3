"""A pytest plugin that writes each test's outcome as a line of JSON as soon as it is known.

Loaded into the user's own pytest with `-p shakedown_reporter`, under whatever Python they have: standard library only.
With several processes, the one that collects the reports writes them. The last line says that the session came to its
end, and how many tests were selected: without it, an exit code of 0 proves nothing.
"""

import json
import os

import pytest

_PATH = os.environ.get("SHAKEDOWN_REPORT")
_LIMIT = 4000
_selected = set()


def _write(entry):
    if _PATH and "PYTEST_XDIST_WORKER" not in os.environ:
        with open(_PATH, "a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")


def pytest_runtest_logreport(report):
    """One phase (setup, call, teardown) of one test ended."""
    text = ""
    message = ""
    if report.failed:
        text = str(report.longrepr)[-_LIMIT:]
        crash = getattr(report.longrepr, "reprcrash", None)
        message = str(getattr(crash, "message", "") or text.strip().splitlines()[-1] if text.strip() else "")[:300]
    _write({"test": report.nodeid, "phase": report.when, "outcome": report.outcome, "duration": report.duration,
            "message": message, "traceback": text})  # fmt: skip


def pytest_collectreport(report):
    """A file could not be collected."""
    if report.failed:
        _write({"collect": report.nodeid, "traceback": str(report.longrepr)[-_LIMIT:]})


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node, ids):
    """With several processes, each tells the tests that it found; all find the same."""
    _selected.update(ids)


def pytest_sessionfinish(session, exitstatus):
    """All is over that was to be run."""
    _selected.update(item.nodeid for item in getattr(session, "items", None) or ())
    _write({"end": int(exitstatus), "selected": len(_selected)})
