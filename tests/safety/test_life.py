"""The life of a fault, with faults of every bad habit: whatever they do, they are taken back and nothing is hidden."""

import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from shakedown.clock import RunClock
from shakedown.errors import FaultError, FaultRefusedError, GuardError, StoreError
from shakedown.faults import Fault, FaultContext, Gate, life, run_fault
from shakedown.guard import Journal
from shakedown.guard.journal import read_journal
from shakedown.guard.undo import ContainerUnpause, Undo
from shakedown.plan.faults import FaultModel
from shakedown.records.experiment import ExperimentRecord, Injection, Proof
from shakedown.records.judgement import Finding
from shakedown.session.experiment_verdicts import judge_experiments
from shakedown.verdict import Verdict

pytestmark = pytest.mark.safety


class NoAgents:
    """A run without agents."""

    why: str | None = None

    def lost(self) -> str | None:
        return self.why


class Habit(Fault[FaultModel]):
    """A fault that notes its steps; each can be given something bad to do."""

    mechanism, proof, reversal = "nothing", "none", "none"

    def __init__(self, context: FaultContext, **bad: Any) -> None:
        super().__init__(FaultModel(type="habit"), context)
        self.steps: list[str] = []
        self.bad = bad
        self.active = False

    def _do(self, step: str) -> Any:
        self.steps.append(step)
        bad = self.bad.get(step)
        if isinstance(bad, list):  # one for each time
            bad = bad.pop(0) if bad else None
        if isinstance(bad, BaseException):
            raise bad
        return bad() if callable(bad) else bad

    def check(self) -> None:
        self._do("check")

    def undo(self) -> Undo:
        self._do("undo")
        return ContainerUnpause(container="none-such")

    def inject(self, deadline: float) -> None:
        assert deadline > time.time()
        self._do("inject")
        self.active = True

    def effect(self) -> Proof:
        return self._do("effect") or Proof(held=self.active, evidence="seen")

    def still(self) -> Proof | None:
        return self.bad["still"]() if "still" in self.bad else None  # no step of its own: most faults have none

    def revert(self) -> None:
        self._do("revert")
        self.active = False

    def gone(self) -> Proof:
        return self._do("gone") or Proof(held=not self.active, evidence="looked at")


@pytest.fixture
def context(tmp_path: Path) -> FaultContext:
    """A context without containers, and with a real journal."""
    journal = Journal(tmp_path / "journal.jsonl", run="r", plan="p")
    system: Any = SimpleNamespace(plan=SimpleNamespace(services={}))
    agents: Any = NoAgents()
    return FaultContext(system, journal, RunClock.start(), threading.Event(), agents)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounds that are short enough to be met in a test."""
    for name, value in {
        "STEP_LIMIT": 0.5, "GONE_WITHIN": 0.2, "INJECTION_PATIENCE": 0.2, "PROOF_OVERRUN": 0.1, "LOOK_EVERY": 0.02,
    }.items():  # fmt: skip
        monkeypatch.setattr(life, name, value)


def live(
    fault: Habit, hold: float = 0.1, on_event: Any = None, save: Any = None, gate: Gate | None = None
) -> Injection:
    record = Injection("habit", "", "", "", ())
    run_fault(
        fault, record, hold, fault.context, subject="e", on_event=on_event or (lambda _: None),
        save=save or (lambda: None), gate=gate,
    )  # fmt: skip
    return record


def intents(context: FaultContext) -> list[str]:
    return [intent.what for intent in read_journal(context.journal.path).intents]


def test_a_good_life(context):
    """Checked, its undo on disk, injected, proved, reverted, proved gone, struck out; in this order."""
    on_disk: list[bool] = []
    fault = Habit(context, inject=lambda: on_disk.append(bool(intents(context))))
    record = live(fault)
    assert fault.steps[:3] == ["check", "undo", "inject"]
    assert fault.steps[-2:] == ["revert", "gone"]
    assert on_disk == [True]
    assert (record.refused, record.error) == (None, None)
    assert record.effect.held
    assert record.gone.held
    assert record.asked_at <= record.applied_at <= record.proved_at <= record.revert_asked_at <= record.reverted_at
    assert intents(context) == []


def test_what_is_measured_to_the_end_counts(context):
    """A last look, before the revert, replaces the first: a better number, a late effect, or one that did not last."""
    better = live(Habit(context, still=lambda: Proof(held=True, evidence="5 % of 900", measured=5.0)))
    assert (better.effect.held, better.effect.evidence, better.effect.measured) == (True, "5 % of 900", 5.0)
    late = live(
        Habit(context, effect=lambda: Proof(held=False, evidence="too few"), still=lambda: Proof(True, "enough"))
    )
    assert late.effect.held
    assert late.proved_at is not None
    ended = live(Habit(context, still=lambda: Proof(held=False, evidence="2 of our 4 rules were removed")))
    assert not ended.effect.held
    assert ended.effect.evidence == "it was in effect, but not to the end: 2 of our 4 rules were removed"
    assert ended.gone.held


def test_a_last_look_that_fails_proves_nothing(context):
    """An error, or no answer, at the last look: not held, with the reason; reverted all the same."""

    def gone() -> Proof:
        raise FaultError("the agent does not answer")

    for still, words in ((gone, "the agent does not answer"), (lambda: time.sleep(0.4), "did not end within 0.1 s")):
        record = live(Habit(context, still=still))
        assert not record.effect.held
        assert words in record.effect.evidence
        assert record.gone.held
        assert record.error is None


def test_secrets_are_taken_out_of_a_faults_record(context):
    """What a proof, an error or the parameters say is kept without the plan's secrets, at each time that it is saved."""
    context.redact = lambda text: text.replace("hunter22", "***")
    fault = Habit(context, effect=Proof(held=True, evidence="hunter22 ran"), revert=[FaultError("no hunter22"), None])
    seen: list[str] = []
    record = Injection("habit", "", "with hunter22", "by hunter22", ())
    run_fault(fault, record, 0.1, context, subject="e", on_event=lambda _: None, save=lambda: seen.append(str(record)))
    assert record.effect.evidence == "*** ran"
    assert "no ***" in record.error
    assert len(seen) >= 3
    assert not any("hunter22" in text for text in seen)


def test_a_refused_fault_touches_nothing(context):
    """The ground forbids it: no undo, no injection, no revert; the reason is kept."""
    fault = Habit(context, check=FaultRefusedError("no netem"))
    record = live(fault)
    assert fault.steps == ["check"]
    assert record.refused == "no netem"
    assert intents(context) == []


@pytest.mark.parametrize("error", [FaultError("x"), ValueError("x"), KeyError("x")])
def test_a_check_that_breaks_touches_nothing(context, error):
    """Whatever goes wrong before the injection is an error, and nothing was done."""
    fault = Habit(context, check=error)
    record = live(fault)
    assert fault.steps == ["check"]
    assert record.error.startswith("before the injection: ")
    assert record.asked_at is None


def test_without_an_undo_on_disk_nothing_is_injected(context, monkeypatch):
    """The journal cannot be written: the fault is refused."""

    def full(*_: object) -> None:
        raise GuardError("the journal cannot be written: no space left")

    monkeypatch.setattr(context.journal, "intend", full)
    fault = Habit(context)
    record = live(fault)
    assert "inject" not in fault.steps
    assert "the undo could not be written down, so nothing was injected" in record.refused


def test_without_an_undo_nothing_is_injected(context):
    """A fault that cannot say how it is undone is refused."""
    fault = Habit(context, undo=KeyError("container"))
    assert "there is no undo" in live(fault).refused
    assert "inject" not in fault.steps


def test_an_end_before_the_beginning(context):
    """Everything is to end while the ground is checked: not injected."""
    fault = Habit(context, check=context.stop.set)
    record = live(fault)
    assert "inject" not in fault.steps
    assert record.refused == "everything was to end before it began"
    assert intents(context) == []


@pytest.mark.parametrize("step", ["inject", "effect"])
@pytest.mark.parametrize("error", [FaultError("it broke"), RuntimeError("it broke"), MemoryError("it broke")])
def test_whatever_breaks_it_is_reverted(context, step, error):
    """An exception in any step: reverted, proved gone, struck out, and told."""
    fault = Habit(context, **{step: error})
    record = live(fault)
    assert fault.steps[-2:] == ["revert", "gone"]
    assert "it broke" in record.error
    assert record.gone.held
    assert intents(context) == []


@pytest.mark.parametrize("callback", ["on_event", "save"])
def test_a_result_that_cannot_be_stored_does_not_keep_a_fault(context, callback):
    """The store fails in mid-fault: reverted and struck out all the same, and told."""

    def fail(*_: object) -> None:
        if fault.active:
            raise StoreError("no space left")

    fault = Habit(context)
    record = live(fault, **{callback: fail})
    assert fault.steps[-2:] == ["revert", "gone"]
    assert "no space left" in record.error
    assert intents(context) == []


def test_an_undo_that_fails_once_is_tried_again(context):
    """The first attempt's failure is told, and the fault is gone."""
    fault = Habit(context, revert=[FaultError("busy")])
    record = live(fault)
    assert fault.steps.count("revert") == 2
    assert record.error == "revert, attempt 1: busy"
    assert record.gone.held
    assert intents(context) == []


def test_an_undo_that_fails_twice_stays_open(context):
    """Nothing is struck out: watchdog and `cleanup` still know; both failures are told, beside what broke before."""
    fault = Habit(context, effect=FaultError("no proof"), revert=[FaultError("busy"), FaultError("still busy")])
    record = live(fault)
    assert intents(context) == ["habit on "]
    assert record.reverted_at is None
    assert not record.gone.held
    for words in ("no proof", "attempt 1: busy", "attempt 2: still busy", "not proved gone"):
        assert words in record.error


def test_a_proof_of_absence_that_breaks_is_no_proof(context):
    """Not looked at is not gone."""
    fault = Habit(context, gone=lambda: 1 / 0)
    record = live(fault)
    assert not record.gone.held
    assert "ZeroDivisionError" in record.error
    assert intents(context) == ["habit on "]


def test_an_effect_is_looked_for_until_it_shows(context):
    """A proof that comes late in the hold time counts."""
    late = [Proof(held=False, evidence="not yet") for _ in range(3)]
    record = live(Habit(context, effect=[*late, None]), hold=1.0)
    assert record.effect.held


def test_an_effect_that_never_shows_is_not_proved(context):
    """The fault is taken back, and its effect is not held."""
    record = live(Habit(context, effect=lambda: Proof(held=False, evidence="20 ms of 200 ms")))
    assert (record.effect.held, record.effect.evidence) == (False, "20 ms of 200 ms")
    assert record.gone.held


def test_an_injection_that_hangs_is_given_up(context):
    """The revert runs within the bound; what may still come keeps its undo open, and is never called gone."""
    release = threading.Event()
    fault = Habit(context, inject=release.wait)
    begun = time.monotonic()
    record = live(fault)
    took = time.monotonic() - begun
    open_then = intents(context)
    release.set()
    assert took < 5
    assert "the injection did not end within 0.5 s" in record.error
    assert "revert" in fault.steps
    assert not record.gone.held
    assert open_then == ["habit on "]


def test_an_injection_that_ends_late_is_reverted_again(context):
    """It comes about after the first revert: taken back once more, and only then proved gone."""
    release = threading.Event()

    def first_revert() -> None:
        release.set()
        time.sleep(0.05)

    fault = Habit(context, inject=release.wait, revert=[first_revert])
    record = live(fault)
    assert fault.steps.count("revert") == 2
    assert not fault.active
    assert record.gone.held
    assert intents(context) == []


@pytest.mark.parametrize("step", ["inject", "effect"])
def test_a_step_that_hangs_does_not_keep_the_end_waiting(context, step, monkeypatch):
    """Everything is to end while a step hangs: the revert is there within a bound far below the step's own."""
    monkeypatch.setattr(life, "STEP_LIMIT", 60.0)
    release = threading.Event()
    fault = Habit(context, **{step: release.wait})
    threading.Timer(0.2, context.halt.set).start()
    begun = time.monotonic()
    live(fault, hold=60)
    took = time.monotonic() - begun
    release.set()
    assert took < 10
    assert "revert" in fault.steps


def test_a_proof_that_hangs_does_not_prolong_the_fault(context, monkeypatch):
    """The hold time is kept, and the effect is not proved."""
    monkeypatch.setattr(life, "STEP_LIMIT", 60.0)
    release = threading.Event()
    fault = Habit(context, effect=release.wait)
    begun = time.monotonic()
    record = live(fault, hold=0.3)
    release.set()
    assert time.monotonic() - begun < 10
    assert not record.effect.held


@pytest.mark.parametrize("flag", ["stop", "halt"])
def test_told_to_end_it_ends(context, flag):
    """Stop (the run) and halt (the experiment) revert at once, long before the hold time."""
    fault = Habit(context)
    threading.Timer(0.2, getattr(context, flag).set).start()
    begun = time.monotonic()
    record = live(fault, hold=60)
    assert time.monotonic() - begun < 10
    assert record.gone.held
    assert record.error is None


def test_an_agent_that_died_is_an_error(context):
    """What kept the fault up ended before its time: told, although the effect had been proved."""
    context.agents.why = "the agent beside `web` died meanwhile"
    record = live(Habit(context))
    assert record.effect.held
    assert record.error == "the fault did not last for its time: the agent beside `web` died meanwhile"


# ------------------------------------------------------------------------------------------------------- several at once
def together(*faults: Habit) -> list[Injection]:
    gate = Gate(len(faults))
    records: list[Injection | None] = [None] * len(faults)

    def go(number: int) -> None:
        records[number] = live(faults[number], gate=gate, hold=0.3)

    threads = [threading.Thread(target=go, args=(number,)) for number in range(len(faults))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert all(records)
    return [record for record in records if record is not None]


def test_nobody_begins_before_everybodys_undo_is_on_disk(context):
    """At the first injection the journal has an open intent for each."""
    seen: list[int] = []
    together(*(Habit(context, inject=lambda: seen.append(len(intents(context)))) for _ in range(3)))
    assert seen[0] == 3
    assert intents(context) == []


def test_they_begin_together_however_long_their_checks_take(context):
    """Asked for within 50 ms of each other."""
    slow = Habit(context, check=lambda: time.sleep(0.3))
    first, second = together(Habit(context), slow)
    assert abs(first.asked_at - second.asked_at) < 0.05


@pytest.mark.parametrize(
    "bad", [{"check": FaultRefusedError("no netem")}, {"check": FaultError("no netem")}, {"undo": KeyError("no netem")}]
)
def test_where_one_cannot_begin_none_does(context, bad):
    """Refused, broken, or without an undo: none is injected, and each record says why."""
    good, broken = Habit(context), Habit(context, **bad)
    records = together(good, broken)
    assert "inject" not in good.steps + broken.steps
    assert all("no netem" in (record.refused or record.error) for record in records)
    assert "which was to begin at the same time, cannot" in records[0].refused
    assert intents(context) == []


def test_where_one_breaks_the_others_end(context):
    """An injection that fails ends the experiment: the others are reverted at once."""
    good, broken = Habit(context), Habit(context, inject=FaultError("it broke"))
    gate = Gate(2)
    thread = threading.Thread(target=live, args=(broken,), kwargs={"gate": gate})
    thread.start()
    begun = time.monotonic()
    record = live(good, hold=60, gate=gate)
    thread.join(20)
    assert time.monotonic() - begun < 10
    assert record.gone.held


# --------------------------------------------------------------------------------------------------------- the verdict
PROVED, NOT = Proof(held=True, evidence="yes"), Proof(held=False, evidence="rules left")


def verdict(*injections: Injection, **record: Any) -> tuple[Verdict, str, list[Finding]]:
    """What an experiment with these injections is judged to be, when nothing at all was measured."""
    findings: list[Finding] = []
    session: Any = SimpleNamespace(
        loaded=SimpleNamespace(plan=SimpleNamespace(experiments=[SimpleNamespace()])),
        store=SimpleNamespace(put_experiment=lambda *_: None), results=SimpleNamespace(probes=lambda _: []), run_id="r",
        find=lambda _, finding: findings.append(finding),
    )  # fmt: skip
    records = [ExperimentRecord("e", list(injections), **record)]
    bench: Any = SimpleNamespace(
        session=session, stage=SimpleNamespace(), load=None, steady=None, warm=(0.0, 0.0), records=records
    )
    ((found, reason),) = judge_experiments(bench)
    return found, reason, findings


def injection(**parts: Any) -> Injection:
    times = {"asked_at": 1.0, "applied_at": 1.0, "revert_asked_at": 2.0, "reverted_at": 2.0}
    return Injection("habit", "x", "", "", (), **{**times, "effect": PROVED, "gone": PROVED, **parts})


REFUSED = {
    "asked_at": None,
    "applied_at": None,
    "revert_asked_at": None,
    "reverted_at": None,
    "effect": None,
    "gone": None,
}


@pytest.mark.parametrize(
    ("injections", "expected"),
    [
        ([injection(gone=NOT)], Verdict.FAILED),
        ([injection(gone=None)], Verdict.FAILED),
        ([injection(), injection(gone=NOT)], Verdict.FAILED),
        ([injection(gone=NOT), injection(refused="no netem", **REFUSED)], Verdict.FAILED),
        ([injection(gone=NOT, error="it broke", effect=NOT)], Verdict.FAILED),
        ([injection(refused="no netem", **REFUSED)], Verdict.INCONCLUSIVE),
        ([injection(), injection(refused="no netem", **REFUSED)], Verdict.INCONCLUSIVE),
        ([injection(error="the agent died")], Verdict.ERROR),
        ([injection(), injection(error="the agent died")], Verdict.ERROR),
        ([injection()], Verdict.ERROR),
        ([], Verdict.ERROR),
    ],
)
def test_without_measurements_nothing_passes(injections, expected):
    """A leftover fails whatever else happened; refused is inconclusive; what broke, or was never measured, is an error."""
    found, reason, findings = verdict(*injections)
    assert found is expected
    assert reason
    assert bool(findings) is (expected is Verdict.FAILED)
