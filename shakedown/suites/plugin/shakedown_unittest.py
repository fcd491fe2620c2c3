"""Runs unittest's discovery and writes each test's outcome as a line of JSON: `python -m shakedown_unittest FOLDER`.

Under whatever Python the user has: standard library only. The environment says what is wanted, as for the pytest plugin.
"""

import json
import os
import random
import signal
import sys
import threading
import time
import traceback
import unittest

_PATH = os.environ.get("SHAKEDOWN_REPORT")  # nobody wants to know where a person repeats it by hand
_ORDER = os.environ.get("SHAKEDOWN_ORDER")
_COUNT = int(os.environ.get("SHAKEDOWN_COUNT", "1"))
_TIMEOUT = float(os.environ.get("SHAKEDOWN_TEST_TIMEOUT", "0"))
_MAX_FAILURES = int(os.environ.get("SHAKEDOWN_MAX_FAILURES", "0"))
_LIMIT = 4000


class TookTooLong(Exception):
    """The test did not end in time."""


def _write(entry):
    if not _PATH:
        return
    with open(_PATH, "a", encoding="utf-8") as file:
        file.write(json.dumps(entry) + "\n")


class Result(unittest.TextTestResult):
    """Tells of each test."""

    def startTest(self, test):
        super().startTest(test)
        self._begun, self._told = time.monotonic(), False
        _write({"begin": test.id()})
        if _TIMEOUT and hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGALRM, self._end)
            signal.setitimer(signal.ITIMER_REAL, _TIMEOUT)

    def _end(self, signum, frame):
        raise TookTooLong(f"not done after {_TIMEOUT:g} s")

    def stopTest(self, test):
        if _TIMEOUT and hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, 0)
        super().stopTest(test)

    def _tell(self, test, outcome, error=None, message=""):
        text = ""
        if error is not None:
            text = "".join(traceback.format_exception(*error))[-_LIMIT:]
            message = traceback.format_exception_only(error[0], error[1])[-1].strip()[:300]
            if isinstance(error[1], TookTooLong):
                outcome = "timed out"
        begun = getattr(self, "_begun", time.monotonic())
        _write({"test": test.id(), "phase": "call", "outcome": outcome, "duration": time.monotonic() - begun,
                "message": message, "traceback": text})  # fmt: skip
        failures = len(self.failures) + len(self.errors) + len(self.unexpectedSuccesses)
        if _MAX_FAILURES and failures >= _MAX_FAILURES:
            self.stop()

    def addSuccess(self, test):
        super().addSuccess(test)
        self._tell(test, "passed")

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._tell(test, "failed", err)

    def addError(self, test, err):
        super().addError(test, err)
        self._tell(test, "error", err)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self._tell(test, "skipped", message=reason)

    def addExpectedFailure(self, test, err):
        super().addExpectedFailure(test, err)
        self._tell(test, "passed")

    def addUnexpectedSuccess(self, test):
        super().addUnexpectedSuccess(test)
        self._tell(test, "failed", message="unexpected success")

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self._tell(subtest, "failed" if issubclass(err[0], test.failureException) else "error", err)


def _tests(suite):
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from _tests(test)
        else:
            yield test


def main():
    loader = unittest.TestLoader()
    tests = list(_tests(loader.discover(sys.argv[1], top_level_dir=None)))
    for error in loader.errors:
        _write({"collect": error.strip().splitlines()[0], "traceback": error[-_LIMIT:]})
    if _ORDER is not None:  # whole modules, and the tests of each: fixtures of modules and classes stay together
        groups = {}
        for test in tests:
            groups.setdefault(type(test).__module__, {}).setdefault(type(test), []).append(test)
        chance = random.Random(_ORDER)
        tests = []
        for module in chance.sample(sorted(groups), len(groups)):
            classes = groups[module]
            for kind in chance.sample(sorted(classes, key=lambda one: one.__qualname__), len(classes)):
                tests += chance.sample(classes[kind], len(classes[kind]))
    selected = len({test.id() for test in tests})
    _write({"selected": selected})
    again = []
    for _ in range(_COUNT):
        again += tests
    result = unittest.TextTestRunner(resultclass=Result, verbosity=0).run(unittest.TestSuite(again))
    code = 0 if result.wasSuccessful() and not loader.errors else 1
    _write({"end": code, "selected": selected})
    sys.exit(code)


if __name__ == "__main__":
    main()
