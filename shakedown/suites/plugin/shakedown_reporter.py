"""A pytest plugin that writes each test's outcome as a line of JSON as soon as it is known.

Loaded into the user's own pytest with `-p shakedown_reporter`, under whatever Python they have: standard library only.
With several processes, the one that collects the reports writes them. A line says how many tests were selected as soon
as that is known. The last one says that the session came to its end: without it, an exit code of 0 proves nothing. A
line is written when a test begins, too: one that never ends crashed its process, or hangs. A worker process that was
lost has its own line.

The environment says what else is wanted: SHAKEDOWN_ORDER (a seed: tests in another order), SHAKEDOWN_COUNT (each test so
often), SHAKEDOWN_TEST_TIMEOUT (seconds for each test, where no plugin of the user's sees to that).
"""

import copy
import json
import os
import random
import signal
import threading

import pytest

_PATH = os.environ.get("SHAKEDOWN_REPORT")
_ORDER = os.environ.get("SHAKEDOWN_ORDER")
_COUNT = int(os.environ.get("SHAKEDOWN_COUNT", "1"))
_TIMEOUT = float(os.environ.get("SHAKEDOWN_TEST_TIMEOUT", "0"))
_LIMIT = 4000
_CRASHED = "???"  # the phase that xdist reports for a test whose process died
_selected = set()
_told = 0
_SYSTEM = os.open, os.write, os.close  # the real ones, whatever a test puts in their place


class TookTooLong(Exception):
    """The test did not end in time."""

    __module__ = "builtins"


def _write(entry):
    """One line with one system call: whatever happens to the process afterwards, it is there."""
    if not _PATH or "PYTEST_XDIST_WORKER" in os.environ:
        return
    line = (json.dumps(entry) + "\n").encode()
    begin, put, end = _SYSTEM
    file = begin(_PATH, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)  # anew: a test may close what it did not open
    try:
        put(file, line)
    finally:
        end(file)


def _say_selected():
    global _told
    if len(_selected) > _told:
        _told = len(_selected)
        _write({"selected": _told})


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    """Before any other plugin reads its settings: a plugin for time-outs that the user has knows better how to end their tests."""
    global _TIMEOUT
    if _TIMEOUT and config.pluginmanager.hasplugin("timeout"):
        if not getattr(config.option, "timeout", None):
            config.option.timeout = _TIMEOUT
        _TIMEOUT = 0


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """Files in another order, and the tests of each file; fixtures of files and classes stay together."""
    if _ORDER is None:
        return
    groups = {}
    for item in items:
        groups.setdefault(item.nodeid.partition("::")[0], []).append(item)
    files = sorted(groups)
    chance = random.Random(_ORDER)
    chance.shuffle(files)
    shuffled = []
    for file in files:
        chance.shuffle(groups[file])
        shuffled += groups[file]
    items[:] = shuffled


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item, nextitem):
    """Each test several times, within one process."""
    if _COUNT == 1:
        return None
    from _pytest.runner import runtestprotocol

    # Twins, not the same item again: what comes next decides which fixtures end, and these are the test's own.
    twins = [item] + [_twin(item) for _ in range(_COUNT - 1)]
    for one, after in zip(twins, twins[1:] + [nextitem]):
        one.ihook.pytest_runtest_logstart(nodeid=one.nodeid, location=one.location)
        runtestprotocol(one, nextitem=after, log=True)
        one.ihook.pytest_runtest_logfinish(nodeid=one.nodeid, location=one.location)
        if one.session.shouldstop or one.session.shouldfail:
            break
    return True


def _twin(item):
    """The same test once more."""
    twin = copy.copy(item)
    for name in ("_obj", "_instance"):  # made anew where they are not there; None would be taken for a function's
        twin.__dict__.pop(name, None)
    if hasattr(twin, "_initrequest"):
        twin._initrequest()
    return twin


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item):
    """A test that takes too long fails, and the next one begins."""
    if not _TIMEOUT or not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(signum, frame):
        raise TookTooLong(f"not done after {_TIMEOUT:g} s")

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, _TIMEOUT)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def pytest_runtest_logstart(nodeid, location):
    """A test begins."""
    _write({"begin": nodeid})


def pytest_runtest_logreport(report):
    """One phase (setup, call, teardown) of one test ended."""
    text = ""
    message = ""
    outcome = report.outcome
    if report.failed:
        text = str(report.longrepr)[-_LIMIT:]
        crash = getattr(report.longrepr, "reprcrash", None)
        message = str(getattr(crash, "message", "") or (text.strip().splitlines() or [""])[-1])[:300]
        if "TookTooLong: " in message or message.startswith("Failed: Timeout"):
            outcome = "timed out"
        if report.when == _CRASHED:
            outcome = "crashed"
    _write({"test": report.nodeid, "phase": report.when, "outcome": outcome, "duration": report.duration,
            "message": message, "traceback": text})  # fmt: skip


def pytest_collectreport(report):
    """A file could not be collected."""
    if report.failed:
        _write({"collect": report.nodeid, "traceback": str(report.longrepr)[-_LIMIT:]})


@pytest.hookimpl(trylast=True)
def pytest_collection_finish(session):
    """What will run is known."""
    _selected.update(item.nodeid for item in session.items)
    _say_selected()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node, ids):
    """With several processes, each tells the tests that it found; all find the same."""
    _selected.update(ids)
    _say_selected()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node, error):
    """With several processes: one of them ended, and not because all was over."""
    if error:
        _write({"lost": str(getattr(getattr(node, "gateway", None), "id", "?")), "why": str(error)[:300]})


def pytest_sessionfinish(session, exitstatus):
    """All is over that was to be run."""
    _selected.update(item.nodeid for item in getattr(session, "items", None) or ())
    _write({"end": int(exitstatus), "selected": len(_selected)})
