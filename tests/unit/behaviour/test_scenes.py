"""Whole experiments over made-up measurements: each mistake under its name, and a sound system accused of nothing."""

import pytest

from shakedown.analysis.behaviour.cascade import Ceiling
from shakedown.analysis.behaviour.whole import Scene, judge_scene
from shakedown.plan.behaviour import BehaviourExpect, BehaviourStage
from shakedown.records.judgement import Severity
from shakedown.records.load import Outcome
from shakedown.verdict import Verdict, combine
from tests.unit.behaviour.made import FAULT, PHASES, gauge, load, looks, samples

DEPENDS = {"db": [], "llm": [], "api": ["db", "llm"], "mail": []}
STAGE = {"core": ["read"], "calls": {"llm": "llm.calls_total"}, "breakers": {}}


def breaker_works(at):
    return 50 if at < 11 or at >= 22 else 1 if at in (15, 20) else 0


def scene(*, expect=None, stage=None, calls=breaker_works, victims=("llm",), what=None, probes=(), more=(), **changes):
    """An experiment on `llm`, with a sound system unless told otherwise."""
    behaviour = BehaviourStage.model_validate({**STAGE, **(stage or {})})
    told = {look.service for look in probes}
    healthy = [look for name in DEPENDS if name != "llm" and name not in told for look in looks(name)]
    given = {
        "name": "llm killed", "faults": ["service-kill"], "victims": frozenset(victims), "client": "api", "phases": PHASES,
        "watched_until": 35.0, "load": what or load("read", "buy"), "stage": behaviour,
        "expect": BehaviourExpect.model_validate(expect or {}), "requests": {"read": 3.0, "buy": 3.0},
        "recover_within": 10.0, "recovered": True, "probes": [*healthy, *probes],
        "samples": [*samples("llm", "calls_total", calls), *more], "sources": behaviour.calls, "depends_on": DEPENDS,
        "ceilings": {"mail": Ceiling(memory=100e6)},
    }  # fmt: skip
    return judge_scene(Scene(**{**given, **changes}))


def failures(found):
    return [
        finding.cause.rpartition("(")[2].rstrip(")")
        for finding in found.findings
        if finding.severity is Severity.FAILURE
    ]


EVERYTHING = {"breaker": "llm", "longest": "2s", "amplification": 2, "herd": 3, "core": ["read", "buy"]}
# What must be found when everything is asked: name of the mistake -> what is different from a sound system.
MISTAKES = {
    "no circuit breaker": {"calls": lambda _: 50},
    "retry storm": {"calls": lambda at: 400 if at in FAULT else 50},
    "thundering herd": {"calls": lambda at: 500 if at in (20, 21) else breaker_works(at)},
    "no time-out": {"what": load("read", "buy", latency=lambda at: 4.0 if at in FAULT else 0.02)},
    "cascade": {"what": load("read", "buy", failing=lambda name, at: 0.5 if name == "read" and at in FAULT else 0)},
}


def test_a_sound_system_is_accused_of_nothing():
    """Whatever the plan asks, and when it asks nothing: no finding that fails, no verdict but passed."""
    for expect in (EVERYTHING, {}):
        found = scene(expect=expect)
        assert failures(found) == []
        assert {verdict for verdict, _ in found.parts} <= {Verdict.PASSED}
        assert found.not_recovered is None


@pytest.mark.parametrize("name", MISTAKES)
def test_each_mistake_has_its_name(name):
    """The finding fails the run, has the name in brackets, evidence, and what to do; the parts fail the experiment."""
    found = scene(expect=EVERYTHING, **MISTAKES[name])
    assert name in failures(found)
    finding = next(one for one in found.findings if one.cause.endswith(f"({name})"))
    assert finding.title.startswith("llm killed: ")
    assert finding.evidence
    assert finding.recommendation
    assert finding.subject == "llm killed"
    assert (Verdict.FAILED, finding.title) in found.parts


@pytest.mark.parametrize("name", ["no circuit breaker", "retry storm", "thundering herd", "no time-out"])
def test_what_nobody_asked_for_fails_nothing(name):
    """Without an expectation the same measurements make a note at most."""
    found = scene(stage={"core": []}, **MISTAKES[name])
    assert failures(found) == []
    assert all(verdict is not Verdict.FAILED for verdict, _ in found.parts)


def test_a_service_that_depends_on_nothing_disturbed_may_not_fall():
    """A cascade, with the order of the falls; unless the plan says that it may."""
    down = [*looks("api", lambda at: 11 <= at < 21), *looks("mail", lambda at: 13 <= at < 21)]
    others = {"probes": down, "depends_on": DEPENDS}
    found = scene(**others)
    assert failures(found) == ["cascade"]
    assert "took down mail" in found.findings[0].title
    lines = [line for line in found.findings[0].evidence if line.startswith("at ")]
    assert ["api" in lines[0], "mail" in lines[1]] == [True, True]
    assert failures(scene(expect={"cascade": ["mail"]}, **others)) == []


def test_a_crowded_machine_makes_slowness_a_doubt():
    """Where others kept the machine busy, health checks and waits are inconclusive; failing core functions still fail."""
    crowd = {"crowded": "other programs took 80 % of the machine"}
    starved = [
        look for name in ("mail", "db") for look in looks(name, latency=lambda at: 0.6 if at in FAULT else 0.004)
    ]
    slow = scene(expect={"longest": "2s"}, probes=starved, **MISTAKES["no time-out"], **crowd)
    fell = scene(probes=looks("mail", lambda at: 13 <= at < 21), **crowd)
    for found in (slow, fell):
        assert [one.severity for one in found.findings] == [Severity.DOUBT]
        assert [verdict for verdict, _ in found.parts] == [Verdict.INCONCLUSIVE]
        assert found.findings[0].evidence[0] == crowd["crowded"]
    assert failures(scene(expect=EVERYTHING, **MISTAKES["cascade"], **crowd)) == ["cascade"]
    assert failures(scene(more=gauge("mail", "restarts", lambda at: float(at > 14)), **crowd)) == ["cascade"]


def test_a_dependent_that_falls_is_a_note():
    """The api depends on what was killed: told, and no failure."""
    found = scene(probes=looks("api", lambda at: 11 <= at < 21))
    assert failures(found) == []
    assert [finding.severity for finding in found.findings] == [Severity.NOTE]
    assert "api fell with llm" in found.findings[0].title


def test_memory_that_runs_out_elsewhere_is_a_cascade():
    """A service apart reaches its limit after the fault."""
    found = scene(more=gauge("mail", "memory", lambda at: 99e6 if at > 14 else 40e6))
    assert failures(found) == ["cascade"]
    assert any("memory at its limit" in line for line in found.findings[0].evidence)


def test_core_functions_of_a_disturbed_service_are_lost_and_no_cascade():
    """Where the very service is killed that clients talk to, that is what is said."""
    gone = load("read", "buy", failing=lambda _, at: 1.0 if at in FAULT else 0)
    assert failures(scene(victims=["api"], what=gone)) == ["core function lost"]
    assert failures(scene(victims=["api"], what=gone, expect={"core": []})) == []


def test_a_client_that_gives_up_is_noted_when_nothing_is_asked():
    """Time-outs at the client's own limit say that nobody behind it has a shorter one."""
    gave_up = load("buy", latency=lambda at: 3.0 if at in FAULT else 0.02, failing=lambda _, at: float(at in FAULT),
                   outcome=Outcome.TIMED_OUT)  # fmt: skip
    found = scene(what=gave_up, stage={"core": []})
    assert [(one.severity, one.cause.endswith("(no time-out)")) for one in found.findings] == [(Severity.NOTE, True)]
    assert failures(scene(what=gave_up, stage={"core": []}, expect={"longest": "3s"})) == ["no time-out"]


def test_what_cannot_be_measured_is_inconclusive():
    """Calls that nobody could sample while the fault held: asked for, they are neither passed nor failed."""
    blind = samples("llm", "calls_total", breaker_works, without=lambda at: 9.5 < at < 20.5)
    found = scene(expect={"breaker": "llm", "amplification": 2}, calls=lambda _: 0, more=())
    assert Verdict.INCONCLUSIVE in {verdict for verdict, _ in found.parts}
    found = judge_blind(blind)
    assert {verdict for verdict, _ in found.parts} == {Verdict.INCONCLUSIVE}
    assert failures(found) == []


def judge_blind(blind):
    behaviour = BehaviourStage.model_validate(STAGE)
    return judge_scene(
        Scene(
            name="x", faults=["service-kill"], victims=frozenset(["llm"]), client="api", phases=PHASES, watched_until=35.0,
            load=load("read"), stage=behaviour, requests={"read": 3.0}, recover_within=10.0, recovered=True, samples=blind,
            expect=BehaviourExpect.model_validate({"breaker": "llm", "amplification": 2}), sources=behaviour.calls,
            depends_on=DEPENDS,
        )
    )  # fmt: skip


def test_a_metastable_failure_is_said_instead_of_a_lost_connection():
    """Same load, calls multiplied, not recovered: the finding that replaces the usual one has the name."""
    what = load("read", failing=lambda _, at: 0.9 if at >= 10 else 0)
    found = scene(what=what, calls=lambda at: 50 if at < 10 else 300, recovered=False, stage={"core": []})
    assert found.not_recovered is not None
    assert found.not_recovered.cause.endswith("(metastable failure)")
    assert found.record.metastable
    assert scene(what=what, calls=lambda at: 50 if at < 10 else 0, recovered=False).not_recovered is None


def test_no_load_at_all_passes_nothing():
    """With no requests and no samples, whatever is asked is inconclusive."""
    empty = load("read", rate=lambda _: 0)
    found = scene(what=empty, calls=lambda _: 0, expect={**EVERYTHING, "core": ["read"]})
    assert failures(found) == []
    assert Verdict.INCONCLUSIVE in {verdict for verdict, _ in found.parts}


def test_a_long_wait_is_not_the_crowded_machines_when_others_are_quick():
    """Services that the fault does not concern are the control: where they answer as ever, clients waited for the system."""
    found = scene(
        expect={"longest": "2s"}, crowded="other programs took 80 % of the machine: so", **MISTAKES["no time-out"]
    )
    assert failures(found) == ["no time-out"]
    assert any("mail" in line and "not the machine" in line for line in found.findings[0].evidence)
    alone = scene(expect={"longest": "2s"}, crowded="other programs took 80 %", victims=("db", "llm", "mail"),
                  **MISTAKES["no time-out"])  # fmt: skip
    assert [one.severity for one in alone.findings] == [Severity.DOUBT]


@pytest.mark.parametrize(
    ("value", "verdict"),
    [
        (lambda _: 8.0, Verdict.PASSED),
        (lambda at: 8.0 if at < 20 else 95.0, Verdict.FAILED),
        (lambda at: 95.0 if at > 5 else 8.0, Verdict.INCONCLUSIVE),  # a peak of some other time hides what came then
        (None, Verdict.INCONCLUSIVE),
    ],
)
def test_calls_at_once_right_after_the_revert(value, verdict):
    """What came at once is a herd above the limit; a peak that was reached earlier, or no sample, settles nothing."""
    calls = {"llm": {"count": "llm.calls_total", "at_once": "llm.in_flight_peak"}}
    more = gauge("llm", "in_flight_peak", value) if value is not None else ()
    found = scene(stage={"calls": calls}, expect={"herd": {"most": 3, "at_once": 30}}, more=more)
    assert combine(part for part, _ in found.parts) is verdict if found.parts else verdict is Verdict.PASSED
    assert ("thundering herd" in failures(found)) is (verdict is Verdict.FAILED)
