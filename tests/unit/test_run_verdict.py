"""A run's verdict, from what its stages came to."""

from types import SimpleNamespace
from typing import Any

import pytest

from flows import pipeline
from shakedown.records.histogram import Histogram
from shakedown.records.load import DuePulse, GeneratorHealth, LoadCounts, LoadResult
from shakedown.session.judging import merged_loads, run_verdict
from shakedown.session.live import STAGES, StageOutcome
from shakedown.verdict import Verdict


def session(outcomes: dict[str, Verdict], planned: set[str]) -> Any:
    stages = SimpleNamespace(**{name: object() if name in planned else None for name in STAGES})
    told: list[tuple[str, Verdict]] = []
    made = SimpleNamespace(
        loaded=SimpleNamespace(plan=SimpleNamespace(stages=stages)), run_id="r", lost_writes=[], told=told,
        outcomes=[StageOutcome(name, verdict, "") for name, verdict in outcomes.items()], check_stop=lambda: None,
        find=lambda *_: None,
    )  # fmt: skip

    def end_stage(name: str, verdict: Verdict, reason: str) -> StageOutcome:
        made.outcomes.append(StageOutcome(name, verdict, reason))
        return made.outcomes[-1]

    made.end_stage = end_stage
    made.skip_stage = lambda name, reason: made.outcomes.append(StageOutcome(name, Verdict.SKIPPED, reason))
    return made


def test_a_planned_stage_of_which_nothing_is_known_is_an_error():
    """Passed stages do not hide one that came to no end; one that is not planned may be missing."""
    passed = {"baseline": Verdict.PASSED, "stress": Verdict.PASSED}
    assert run_verdict(session(passed, {"baseline", "stress"}), [])[0] is Verdict.PASSED
    verdict, reason = run_verdict(session(passed, {"baseline", "stress", "faults"}), [])
    assert verdict is Verdict.ERROR
    assert reason == "faults: it came to no end"


@pytest.mark.parametrize("crashed", ["baseline", "stress"])
def test_a_stage_whose_flow_crashes_does_not_pass(monkeypatch: pytest.MonkeyPatch, crashed: str):
    """A flow that ends without an outcome is an error with its state's words; after such a baseline the rest is skipped."""
    made = session({}, {"baseline", "stress"})

    def flow(name: str):
        def run(_: str, **__: object) -> object:
            if name == crashed:
                return SimpleNamespace(name="Crashed", message="KeyError: 'x'")
            made.end_stage(name, Verdict.PASSED, "")
            return SimpleNamespace(name="Completed", message="passed")

        return run

    quiet = SimpleNamespace(enter=lambda _: None, finish=lambda _: None)
    monkeypatch.setattr(pipeline, "_FLOWS", {name: flow(name) for name in STAGES})
    monkeypatch.setattr(pipeline, "progress_of", lambda _: quiet)
    for step in ("start_services", "look_before_run"):
        monkeypatch.setattr(pipeline, step, lambda _: None)
    pipeline._stages(made)
    found = {outcome.name: outcome for outcome in made.outcomes}
    assert found[crashed].verdict is Verdict.ERROR
    assert "Crashed: KeyError" in found[crashed].reason
    assert found["stress"].verdict is (Verdict.SKIPPED if crashed == "baseline" else Verdict.ERROR)
    assert run_verdict(made, [])[0] is Verdict.ERROR


def test_repetitions_of_a_load_are_one_with_their_degraded_answers():
    """What thresholds judge has every part of every repetition."""

    def load(repetition: int) -> LoadResult:
        counts = LoadCounts(scheduled=10, started=10, ok=10)
        times = Histogram()
        times.record(0.05)
        return LoadResult(
            "users", "users", "endurance", repetition, float(repetition), repetition + 1.0, "constant-vus", None, counts,
            {}, {}, {}, [], GeneratorHealth(), degraded={("read", repetition): times}, dues={repetition: DuePulse(10)},
        )  # fmt: skip

    merged = merged_loads([load(1), load(2)])["users"]
    assert {place: times.count for place, times in merged.degraded.items()} == {("read", 1): 1, ("read", 2): 1}
    assert set(merged.dues) == {1, 2}
    assert merged.counts.ok == 20
