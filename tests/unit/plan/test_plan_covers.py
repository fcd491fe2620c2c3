"""`covers` in a plan: where it may stand, what is an id, and that it changes nothing of what is run."""

import copy
import json
from typing import Any

import pytest
import yaml

from shakedown.errors import PlanError
from shakedown.plan import load_plan
from shakedown.results.workload import workload_digest

PLAN: dict[str, Any] = {
    "version": 1, "name": "shop",
    "services": {"api": {"image": "api:1", "ports": {"http": 80}, "health": {"tcp": "http"}, "depends_on": ["db"]}, "db": {"image": "db:1"}},
    "scenarios": {"read": {
        "executor": {"type": "constant-arrival-rate", "rate": 5, "duration": "5s"},
        "http": {"target": "api.http", "requests": [{"name": "r", "get": "/"}]},
    }},
    "suites": {"unit": {"command": ["true"]}},
    "stages": {
        "baseline": {"suites": [{"suite": "unit", "covers": ["R3"]}], "scenarios": [{"use": "read", "covers": ["R1"]}], "covers": ["R2"]},
        "stress": {"parallel": [{"use": "read", "covers": ["REQ-12"]}, {"suite": "unit", "covers": ["5.1/b"]}], "covers": ["a_b"]},
        "endurance": {"repeat": 2, "run": [{"use": "read", "covers": ["7"]}], "covers": ["8"]},
        "faults": {
            "load": {"use": "read", "covers": ["F0"]}, "covers": ["F1"],
            "experiments": [{"name": "e", "fault": {"type": "service-kill", "target": "db"}, "hold": "1s", "recover_within": "5s",
                             "covers": ["F2"]}],
            "each_dependency": [{"of": "api", "fault": {"type": "service-stop"}, "hold": "1s", "recover_within": "5s", "covers": ["F3"]}],
        },
        "recovery": {"covers": ["Z"]},
    },
    "regression": {"covers": ["H"]},
}  # fmt: skip


def load(tmp_path, plan):
    path = tmp_path / "plan.yaml"
    path.write_text(yaml.safe_dump(plan), encoding="utf-8")
    return load_plan(path, environ={})


def test_where_it_may_stand(tmp_path):
    """Each stage, each load and suite of one, each experiment; and all of it is stored with the run."""
    resolved = load(tmp_path, PLAN).resolved
    named = {"R1", "R2", "R3", "REQ-12", "5.1/b", "a_b", "7", "8", "F0", "F1", "F2", "F3", "Z", "H"}
    assert {one for one in named if f'"{one}"' in resolved} == named
    assert load(tmp_path, PLAN).plan.experiments[-1].covers == ["F3"]


@pytest.mark.parametrize(
    ("ids", "said"),
    [
        ([""], "`` is no id"), (["-x"], "`-x` is no id"), (["a b"], "no id"), (["x" * 33], "at most 32"), (["N1\n"], "no id"),
        (["N1", "N2", "N1"], "`N1` stands twice"), ([12], "must be a text, not 12"), ("N1", "must be a list"),
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "where", [("baseline", "suites", 0), ("stress",), ("stress", "parallel", 0), ("faults", "experiments", 0)]
)
def test_what_is_no_id(tmp_path, ids, said, where):
    """A wrong id is told at its place."""
    plan = copy.deepcopy(PLAN)
    part: Any = plan["stages"]
    for step in where:
        part = part[step]
    part["covers"] = ids
    with pytest.raises(PlanError) as caught:
        load(tmp_path, plan)
    (problem,) = caught.value.problems
    assert said in problem.message
    assert problem.key.startswith(f"stages.{'.'.join(map(str, where))}.covers")


def test_runs_stay_comparable(tmp_path):
    """Who names rows asks for no other work: earlier runs are still beside the new one."""
    named = load(tmp_path, PLAN).resolved
    text = json.dumps(PLAN)
    for part in json.loads(text)["stages"].values():
        part.pop("covers", None)
    bare = json.loads(text, object_hook=lambda item: {key: value for key, value in item.items() if key != "covers"})
    assert workload_digest(named) == workload_digest(load(tmp_path, bare).resolved) != ""


def test_a_suite_of_the_baseline_by_its_name(tmp_path):
    """A name alone says the same as a use that says no more, and what earlier versions stored; a use that says more does not."""
    digests = []
    for use in ("unit", {"suite": "unit"}, {"suite": "unit", "label": "first"}):
        plan = copy.deepcopy(PLAN)
        plan["stages"]["baseline"]["suites"] = [use]
        digests.append(workload_digest(load(tmp_path, plan).resolved))
    stored = json.loads(load(tmp_path, PLAN).resolved)
    stored["stages"]["baseline"]["suites"] = ["unit"]
    assert digests[0] == digests[1] == workload_digest(json.dumps(stored)) != digests[2]


def test_a_suite_of_the_baseline_that_there_is_not(tmp_path):
    """An unknown suite is told at its place, whichever way it is named; so is a label that is taken."""
    for suites, place in ((["unti"], "0.suite"), ([{"suite": "unti"}], "0.suite"), (["unit", "unit"], "1")):
        plan = copy.deepcopy(PLAN)
        plan["stages"]["baseline"]["suites"] = suites
        with pytest.raises(PlanError) as caught:
            load(tmp_path, plan)
        (problem,) = caught.value.problems
        assert problem.key == f"stages.baseline.suites.{place}"
