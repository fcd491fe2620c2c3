"""What a suite's process told of its tests: our own lines of JSON, TAP, or JUnit XML."""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from xml.etree import ElementTree as ET

from shakedown.records.suites import TestOutcome, TestStatus

__all__ = ["Told", "read_junit", "read_lines", "read_tap"]

STATUSES = {
    "passed": TestStatus.PASSED, "failed": TestStatus.FAILED, "error": TestStatus.ERROR, "skipped": TestStatus.SKIPPED,
    "crashed": TestStatus.CRASHED, "timed out": TestStatus.TIMED_OUT,
}  # fmt: skip
TEXT = 4000
MESSAGE = 300
_TAP = re.compile(
    r"(?P<indent> *)(?P<not>not )?ok\b\s*(?P<number>\d+)?\s*(?:-\s*)?(?P<name>[^#]*)(?:#\s*(?P<note>.*))?"
)
_PLAN = re.compile(r"1\.\.(\d+)\b(?:\s*#\s*(.*))?")


@dataclass(slots=True)
class Told:
    """What is known of one execution.

    Attributes:
        uncollected: what could not even be collected, with the reason.
        selected: tests that were to run; None when the session never came to its end.
        planned: the same, said before the first one ran; 0 when it was not.
        lost: worker processes that ended although there was more to do.
        open: tests that began and of whose end nothing is known, the last one last.
        problem: why what was told cannot be used.
    """

    outcomes: list[TestOutcome] = field(default_factory=list)
    uncollected: list[str] = field(default_factory=list)
    selected: int | None = None
    planned: int = 0
    lost: list[str] = field(default_factory=list)
    open: list[str] = field(default_factory=list)
    problem: str | None = None


def read_lines(lines: Iterable[str]) -> Told:
    """Fold what our plugins wrote: the phases of each test become one outcome for each time it ran."""
    told = Told()
    running: dict[str, _Running] = {}
    done: list[_Running] = []
    for entry in _entries(lines):
        if "collect" in entry:
            told.uncollected.append(_uncollected(entry))
        elif "end" in entry:
            told.selected = int(str(entry["selected"]))
        elif "selected" in entry:
            told.planned = int(str(entry["selected"]))
        elif "lost" in entry:
            told.lost.append(f"{entry['lost']}: {entry['why']}")
        elif "begin" in entry:
            test = str(entry["begin"])
            if test not in running or running[test].over:
                running[test] = _Running(test)
                done.append(running[test])
        else:
            test = str(entry["test"])
            if entry["phase"] == "???" and (test not in running or running[test].over):
                continue  # its process was lost before it began: what would have come next is not to blame
            if test not in running:
                running[test] = _Running(test)
                done.append(running[test])
            running[test].take(entry)
    told.outcomes = [one.outcome for one in done if one.outcome is not None]
    told.open = [one.test for one in done if one.outcome is None]
    told.uncollected = list(dict.fromkeys(told.uncollected))  # every worker process says the same
    return told


def _uncollected(entry: dict[str, object]) -> str:
    """What could not be collected, and the last line of why."""
    lines = [line for line in str(entry.get("traceback", "")).splitlines() if line.strip()]
    why = lines[-1].removeprefix("E ").strip()[:MESSAGE] if lines else ""
    return f"{entry['collect']} ({why})" if why else str(entry["collect"])


def _entries(lines: Iterable[str]) -> Iterator[dict[str, object]]:
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:  # torn by a crash
            continue
        if isinstance(entry, dict):
            yield {key: _storable(value) if isinstance(value, str) else value for key, value in entry.items()}


def _storable(text: str) -> str:
    """What every database takes: no half of a surrogate pair, no NUL; both may stand in a parameter's name."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\0")


class _Running:
    """One run of one test."""

    def __init__(self, test: str) -> None:
        self.test = test
        self.spent = 0.0
        self.outcome: TestOutcome | None = None
        self.over = False

    def take(self, entry: dict[str, object]) -> None:
        phase, word = str(entry["phase"]), str(entry["outcome"])
        self.spent += float(str(entry["duration"]))
        self.over = self.over or phase in ("teardown", "???")
        if word not in STATUSES:  # "rerun", of a plugin of theirs: the attempt that counts comes later
            return
        status = STATUSES[word]
        if status is TestStatus.FAILED and phase in ("setup", "teardown"):
            status = TestStatus.ERROR
        if status is TestStatus.PASSED and phase != "call":
            if self.outcome is not None:  # a good teardown changes nothing but the time
                self.outcome = replace(self.outcome, duration=self.spent)
            return  # a good setup is no outcome yet: the test may hang or crash
        if self.outcome is None or self.outcome.status is TestStatus.PASSED:
            self.outcome = TestOutcome(self.test, status, self.spent, str(entry["message"]), str(entry["traceback"]))


def read_tap(text: str) -> Told:
    """The Test Anything Protocol, versions 12 to 14; subtests (indented) belong to their parent's line.

    Times are not part of it: every duration is 0.
    """
    told = Told()
    planned: int | None = None
    for line in text.splitlines():
        if found := _PLAN.match(line):
            planned = int(found[1])
            if planned == 0:
                told.problem = f"no test ran: {found[2] or '1..0'}"
        elif line.startswith("Bail out!"):
            told.problem = line.strip()
        elif (found := _TAP.fullmatch(line.rstrip())) and not found["indent"]:
            name = found["name"].strip() or f"test {found['number'] or len(told.outcomes) + 1}"
            note = (found["note"] or "").strip()
            skipped = note.lower().startswith(("skip", "todo"))
            status = TestStatus.SKIPPED if skipped else TestStatus.FAILED if found["not"] else TestStatus.PASSED
            told.outcomes.append(TestOutcome(_storable(name), status, 0.0, _storable(note) if skipped else ""))
    told.selected = planned
    if planned is None and told.problem is None:
        told.problem = "its output has no TAP plan (`1..N`)"
    return told


def read_junit(text: str | bytes) -> Told:
    """JUnit XML, as most runners write it: every `testcase`, under `classname.name`."""
    told = Told()
    try:
        root = ET.fromstring(text)  # noqa: S314 - of the user's own program; expat bounds what entities become
    except ET.ParseError as error:
        told.problem = f"its JUnit file is no XML: {error}"
        return told
    for case in root.iter("testcase"):
        name = ".".join(filter(None, [case.get("classname"), case.get("name")])) or "unnamed"
        status, message, trace = TestStatus.PASSED, "", ""
        for tag, kind in (("skipped", TestStatus.SKIPPED), ("error", TestStatus.ERROR), ("failure", TestStatus.FAILED)):
            found = case.find(tag)
            if found is not None:
                status, trace = kind, (found.text or "").strip()[-TEXT:]
                message = (found.get("message") or (trace.splitlines() or [""])[-1])[:MESSAGE]
        told.outcomes.append(TestOutcome(name, status, _seconds(case.get("time")), message, trace))
    told.selected = len(told.outcomes)
    return told


def _seconds(text: str | None) -> float:
    try:
        return max(float((text or "0").replace(",", "")), 0.0)
    except ValueError:
        return 0.0
