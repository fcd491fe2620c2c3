"""Experiments in a plan: which ways there are to compose faults, and what is refused before anything starts."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from shakedown.errors import PlanError
from shakedown.plan import LoadedPlan, load_plan, planned_durations
from shakedown.plan.abort import parse_condition

KILL = {"type": "service-kill", "target": "redis"}
PAUSE = {"type": "service-pause", "target": "web"}
SLOW = {"type": "network-latency", "target": "redis", "latency": "100ms"}
WITHIN = {"name": "e", "recover_within": "10s"}


def load(folder: Path, *experiments: dict[str, Any], profile: str | None = None, **stage: Any) -> LoadedPlan:
    """A plan with these experiments."""
    plan = {
        "version": 1,
        "name": "demo",
        "services": {
            "web": {
                "image": "web:1",
                "ports": {"http": 8000},
                "health": {"http": "http:/"},
                "depends_on": ["redis", "db"],
            },
            "redis": {"image": "redis:1", "ports": {"redis": 6379}},
            "db": {"image": "db:1", "ports": {"sql": 5432}},
            "far": {"url": "http://127.0.0.1:9"},
        },
        "scenarios": {
            "get": {
                "executor": {"type": "constant-arrival-rate", "rate": 10, "duration": "5s"},
                "http": {"target": "web.http", "requests": [{"name": "r", "get": "/"}]},
            }
        },
        "stages": {
            "faults": {
                "load": "get",
                "warm_up": "3s",
                "pause": "2s",
                "hold_window": "1s",
                "experiments": list(experiments),
                **stage,
            }
        },
        "profiles": {"half": {"scale": {"hold": 0.5}}},
    }
    path = folder / "plan.yaml"
    path.write_text(yaml.safe_dump(plan), encoding="utf-8")
    return load_plan(path, profile=profile, environ={})


def problems(folder: Path, *experiments: dict[str, Any], **stage: Any) -> list[str]:
    """What is wrong with a plan, without the file and its lines."""
    with pytest.raises(PlanError) as caught:
        load(folder, *experiments, **stage)
    found = {
        str(problem).split("stages.faults.", 1)[-1].split(" (in the profile")[0] for problem in caught.value.problems
    }
    return sorted(found)


GOOD = {
    "one": {"fault": KILL, "hold": "4s"},
    "at once": {"faults": [KILL, PAUSE], "hold": "4s"},
    "sequence": {"sequence": [{"fault": KILL, "hold": "2s", "pause": "1s"}, {"fault": KILL, "hold": "3s", "pause": "9s"}]},
    "nemesis": {"nemesis": {"faults": [{"fault": KILL, "weight": 3}, {"fault": SLOW}], "duration": "20s"}},
    "repeat": {"fault": KILL, "hold": "2s", "repeat": {"times": 3, "pause": "500ms"}},
    "repeat at once": {"faults": [KILL, PAUSE], "hold": "2s", "repeat": {"times": 2}},
    "staircase": {
        "fault": SLOW,
        "hold": "2s",
        "staircase": {"parameter": "latency", "values": ["50ms", "100ms", 0.4], "require": "100ms"},
        "expect": {"during": ["get.error_rate < 5%"]},
    },
}  # fmt: skip
LONGEST = {
    "one": 4, "at once": 4, "sequence": 6, "nemesis": 20, "repeat": 7, "repeat at once": 5, "staircase": 6,
}  # fmt: skip


@pytest.mark.parametrize("way", GOOD)
def test_every_way_loads(tmp_path, way):
    """Each way to compose faults is a plan, and lasts as long as its parts: the pause after the last one does not count."""
    plan = load(tmp_path, {**WITHIN, **GOOD[way]}).plan
    (experiment,) = plan.experiments
    assert experiment.longest == pytest.approx(LONGEST[way])
    # Warm-up, the experiment, and the window in which it is back.
    assert planned_durations(plan)["faults"] == pytest.approx(3 + LONGEST[way] + 1)


def test_pauses_between_experiments_are_planned(tmp_path):
    """Three experiments: three windows of recovery, two pauses."""
    plan = load(tmp_path, *({**WITHIN, **GOOD["one"], "name": name} for name in "abc")).plan
    assert planned_durations(plan)["faults"] == pytest.approx(3 + 3 * (4 + 1) + 2 * 2)


@pytest.mark.parametrize(
    ("experiment", "expected"),
    [
        ({}, "exactly one of fault, faults, sequence, nemesis"),
        ({"hold": "1s"}, "exactly one of fault, faults, sequence, nemesis"),
        ({"fault": KILL, "faults": [PAUSE], "hold": "1s"}, "exactly one of fault, faults, sequence, nemesis"),
        ({**GOOD["sequence"], **GOOD["nemesis"]}, "exactly one of fault, faults, sequence, nemesis"),
        ({"fault": KILL}, "a fault without an end is refused"),
        ({"faults": [KILL, PAUSE]}, "a fault without an end is refused"),
        ({"fault": KILL, "hold": "0s"}, "must be greater than 0"),
        ({**GOOD["sequence"], "hold": "1s"}, "`hold` belongs to each step of a sequence, and to the nemesis itself"),
        ({**GOOD["nemesis"], "hold": "1s"}, "`hold` belongs to each step of a sequence, and to the nemesis itself"),
        ({"sequence": [{"fault": KILL}]}, "sequence.0.hold"),
        ({**GOOD["sequence"], "repeat": {"times": 2}}, "`repeat` goes with `fault` or `faults`"),
        ({**GOOD["one"], "repeat": {"times": 1}}, "must be greater than 1"),
        ({**GOOD["one"], "repeat": {"times": 1001}}, "must be less than or equal to 1000"),
        ({**GOOD["staircase"], "repeat": {"times": 2}}, "`staircase` goes with one `fault`, and not with `repeat`"),
        ({**GOOD["staircase"], "expect": {}}, "climbs until a threshold breaks"),
        (
            {**GOOD["staircase"], "staircase": {"parameter": "latncy", "values": [1, 2]}},
            "network-latency has no parameter `latncy`; it has ",
        ),
        ({**GOOD["staircase"], "staircase": {"parameter": "target", "values": ["a", "b"]}}, "no parameter `target`"),
        ({**GOOD["staircase"], "staircase": {"parameter": "latency", "values": ["1s", "soon"]}}, "staircase: "),
        ({**GOOD["staircase"], "staircase": {"parameter": "latency", "values": ["1s", "0s"]}}, "greater than 0"),
        ({**GOOD["staircase"], "staircase": {"parameter": "latency", "values": ["1s"]}}, "values"),
        ({**GOOD["staircase"], "staircase": {"parameter": "latency", "values": [1, 2, 1]}}, "no two may be the same"),
        (
            {**GOOD["staircase"], "staircase": {"parameter": "latency", "values": [1, 2], "require": 3}},
            "`require` is one of the values: 1, 2",
        ),
        ({"nemesis": {"faults": [], "duration": "9s"}}, "nemesis.faults"),
        ({"nemesis": {**GOOD["nemesis"]["nemesis"], "hold": [5, 1]}}, "`hold` is a range: [1s, 5s]"),
        ({"nemesis": {**GOOD["nemesis"]["nemesis"], "hold": [0, 0]}}, "`hold` is a range: [1s, 5s]"),
        ({"nemesis": {**GOOD["nemesis"]["nemesis"], "quiet": [-1, 1]}}, "nemesis.quiet.0: a duration cannot be negative"),
        ({"nemesis": {**GOOD["nemesis"]["nemesis"], "duration": "1s"}}, "`duration` is too short for one fault"),
        ({"nemesis": {**GOOD["nemesis"]["nemesis"], "faults": [{"fault": KILL, "weight": 0}]}}, "greater than 0"),
        ({**GOOD["one"], "fault": {**KILL, "target": "far"}}, "service-kill works on "),
        ({**GOOD["one"], "fault": {**KILL, "target": "rediss"}}, "no such service: `rediss`"),
        ({**GOOD["one"], "fault": {**KILL, "sginal": "SIGTERM"}}, "sginal"),
        ({"sequence": [{"fault": {**KILL, "target": "x"}, "hold": 1}]}, "sequence.0.fault.target: no such service: `x`"),
        (
            {"nemesis": {"faults": [{"fault": {**KILL, "target": "x"}}], "duration": "9s"}},
            "nemesis.faults.0.fault.target: no such service: `x`",
        ),
        ({"faults": [KILL, {**KILL, "signal": "SIGTERM"}], "hold": 1}, "both act on redis: not at the same time"),
        ({"faults": [SLOW, KILL], "hold": 1}, "both act on redis, network-latency: not at the same time"),
        ({"faults": [SLOW, SLOW], "hold": 1}, "both act on redis, network-latency: not at the same time"),
        ({**GOOD["one"], "abort_if": ["host.memory is full"]}, "abort_if.0: not a condition: `host.memory is full`"),
        ({**GOOD["one"], "abort_if": ["web.memory > 90%"]}, "a share is known of host.memory and host.cpu only"),
        ({**GOOD["one"], "abort_if": ["wbe.memory > 90MB"]}, "no such service: `wbe`"),
    ],
)  # fmt: skip
def test_what_is_refused(tmp_path, experiment, expected):
    """Each mistake is told before anything starts, at its place."""
    found = problems(tmp_path, {**WITHIN, **experiment})
    assert any(expected in problem for problem in found), found


def test_faults_on_different_things_go_together(tmp_path):
    """Two services, or two kinds of disturbance on one service's network, do not get in each other's way."""
    cut = {"type": "network-partition", "target": "redis", "peers": ["db"]}
    assert load(tmp_path, {**WITHIN, "faults": [SLOW, cut, PAUSE], "hold": 1})


def test_stairs_are_the_fault_with_each_value(tmp_path):
    """A staircase is one fault for each value, everything else as it was; `require` says how many must hold."""
    (experiment,) = load(tmp_path, {**WITHIN, **GOOD["staircase"]}).plan.experiments
    assert [fault.latency for fault in experiment.stairs()] == [0.05, 0.1, 0.4]
    assert {fault.target for fault in experiment.stairs()} == {"redis"}
    assert experiment.staircase.required == 2


def test_without_require_the_mildest_must_hold(tmp_path):
    """The default of `require` is the first value."""
    staircase = {**GOOD["staircase"], "staircase": {"parameter": "latency", "values": [1, 2]}}
    (experiment,) = load(tmp_path, {**WITHIN, **staircase}).plan.experiments
    assert experiment.staircase.required == 1


# ------------------------------------------------------------------------------------------------- each dependency
EACH = {"of": "web", "fault": {"type": "service-kill"}, "hold": "2s", "recover_within": "5s"}


def test_each_dependency_in_turn(tmp_path):
    """One experiment for each entry of `depends_on`, with its target and a name of its own."""
    each = {**EACH, "expect": {"health": {"web": "unhealthy"}}, "abort_if": ["host.memory > 90%"], "covers": ["x"]}
    plan = load(tmp_path, {**WITHIN, **GOOD["one"]}, each_dependency=[each]).plan
    assert [one.name for one in plan.experiments] == ["e", "web without redis", "web without db"]
    assert [one.fault.target for one in plan.experiments[1:]] == ["redis", "db"]
    assert {one.abort_if[0] for one in plan.experiments[1:]} == {"host.memory > 90%"}
    assert planned_durations(plan)["faults"] == pytest.approx(3 + (4 + 1) + 2 * (2 + 1) + 2 * 2)


@pytest.mark.parametrize(
    ("each", "expected"),
    [
        ({"of": "wbe"}, "no such service: `wbe`"),
        ({"of": "db"}, "`db` has no `depends_on`"),
        ({"fault": {"type": "service-kil"}}, "service-kil"),
        ({"fault": {}}, "each_dependency.0.fault"),
        ({"fault": {"type": "service-kill", "target": "db"}}, "`fault` has no `target` here"),
        ({"fault": {"type": "network-partition", "peers": ["redis"]}}, "no such other service: `redis`"),
        ({"name": "gone"}, "two experiments are called `gone`"),
        ({"abort_if": ["x"]}, "not a condition: `x`"),
    ],
)
def test_a_wrong_each_dependency(tmp_path, each, expected):
    """What does not fit one of the dependencies is told at the place of all."""
    found = problems(tmp_path, each_dependency=[{**EACH, **each}])
    assert any(expected in problem for problem in found), found


def test_nothing_at_all_is_refused(tmp_path):
    """A faults stage has experiments of one kind or the other."""
    assert any("needs `experiments` or `each_dependency`" in problem for problem in problems(tmp_path))


# ------------------------------------------------------------------------------------------------------------ profiles
def test_a_profile_scales_holds(tmp_path):
    """`hold: 0.5` halves the hold of a fault, of each step, of each dependency's fault, and a nemesis's duration."""
    experiments = [{**WITHIN, "name": way, **GOOD[way]} for way in GOOD]
    plan = load(tmp_path, *experiments, each_dependency=[EACH], profile="half").plan
    longest = {one.name: one.longest for one in plan.experiments}
    # Pauses are not scaled: of a sequence (1 s), of repeats (0.5 s each, 1 s).
    assert longest == pytest.approx({
        "one": 2, "at once": 2, "sequence": 2.5 + 1, "nemesis": 10, "repeat": 3 + 1, "repeat at once": 2 + 1,
        "staircase": 3, "web without redis": 1, "web without db": 1,
    })  # fmt: skip


@pytest.mark.parametrize(
    ("given", "hold", "quiet"),
    [({"hold": ["2s", "3s"], "quiet": ["0s", "500ms"]}, (1, 1.5), (0, 0.25)), ({}, (0.5, 2.5), (0.5, 2.5))],
)
def test_a_profile_scales_all_of_a_nemesis(tmp_path, given, hold, quiet):
    """Its faults and its quiet get shorter with it, given or by default: as many faults, and never too little room."""
    nemesis = {**GOOD["nemesis"]["nemesis"], "duration": "3s", **given}
    (scaled,) = load(tmp_path, {**WITHIN, "nemesis": nemesis}, profile="half").plan.experiments
    assert (scaled.nemesis.duration, scaled.nemesis.hold, scaled.nemesis.quiet) == (1.5, hold, quiet)


# ---------------------------------------------------------------------------------------------------------- conditions
@pytest.mark.parametrize(
    ("text", "value", "met"),
    [
        ("host.memory > 90%", 0.91, True),
        ("host.memory > 90%", 0.9, False),
        ("host.cpu >= 0.5%", 0.005, True),
        ("web.memory > 400MB", 400e6, False),
        ("web.memory > 400MB", 400e6 + 1, True),
        ("web.queue_depth>1000", 1001, True),
        ("web.threads < 3", 2, True),
        ("web.threads <= 3", 3, True),
        ("web.threads <= 2.5", 3, False),
    ],
)
def test_conditions(text, value, met):
    """Shares of the host, sizes and plain numbers, each way round."""
    assert parse_condition(text).met(value) is met


@pytest.mark.parametrize(
    "text",
    ["", "memory > 1", "host.memory", "host.memory = 1", "host.memory > ", "host.memory > -1", "host.memory > 1 2",
     "web.memory > 50%", "host.threads > 50%", "host.memory > x%", "a b.memory > 1", "host.memory > 1 or host.cpu > 1"],
)  # fmt: skip
def test_what_is_no_condition(text):
    """Everything else is a ValueError, never a condition that is not met."""
    with pytest.raises(ValueError, match=r"condition|share|size|percentage|number"):
        parse_condition(text)
