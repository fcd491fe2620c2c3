"""What a plan may say about faults of the user's own, and what their parts make of words."""

import pytest
from pydantic import TypeAdapter, ValidationError

from shakedown.faults.custom.steps import proof_of
from shakedown.plan.faults import FaultPlan
from shakedown.plan.faults.custom import CustomCommand, CustomPython
from shakedown.plan.model import Plan

FAULT: TypeAdapter[FaultPlan] = TypeAdapter(FaultPlan)
WHOLE = {"type": "custom-command", "inject": "a", "revert": "b", "proof": "c"}


@pytest.fixture(scope="module")
def plan() -> Plan:
    return Plan.model_validate(
        {
            "version": 1, "name": "p",
            "services": {"box": {"image": "x", "ports": {"http": 1}}, "program": {"process": ["x"]}},
            "stages": {},
        }
    )  # fmt: skip


@pytest.mark.parametrize("missing", ["inject", "revert", "proof"])
def test_a_fault_without_a_way_back_is_none(missing):
    """Injection, revert and proof are all required."""
    with pytest.raises(ValidationError, match="Field required"):
        FAULT.validate_python({name: value for name, value in WHOLE.items() if name != missing})


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"target": "bax"}, "no such service: `bax`"),
        ({"run_on": "container"}, "no container without a `target`"),
        ({"run_on": "container", "target": "program"}, "it has no container"),
        ({"proof": " "}, "an empty command"),
        ({"gone": []}, "an empty command"),
        ({"environment": {"API_TOKEN": "x"}}, "looks like a secret"),
    ],
)
def test_what_is_wrong_is_found_before_anything_starts(plan, more, words):
    """Each mistake is a problem of the plan, with its words."""
    found = [message for _, message, _ in FAULT.validate_python({**WHOLE, **more}).problems(plan)]
    assert any(words in message for message in found), found


@pytest.mark.parametrize("more", [{}, {"target": "box"}, {"target": "program"}, {"target": "box", "run_on": "host"}])
def test_what_is_right_has_no_problem(plan, more):
    """With and without a target, in its container or on the host."""
    assert list(FAULT.validate_python({**WHOLE, **more}).problems(plan)) == []


def test_a_step_has_a_limit():
    """More than the life of a fault allows is refused, and so is none."""
    for timeout in (0, 26):
        with pytest.raises(ValidationError):
            CustomCommand(**{**WHOLE, "timeout": timeout})


@pytest.mark.parametrize("run", ["module", "module:", ":Class", "../x:Class", "a b:C"])
def test_a_class_is_a_module_and_a_name(run):
    """Anything else is refused."""
    with pytest.raises(ValidationError):
        CustomPython(run=run)


def test_parameters_hold_no_secrets(plan):
    """What looks like one is refused, as the undo is written into a file."""
    found = list(CustomPython(run="m:C", parameters={"password": "x", "count": 3}).problems(plan))
    assert [where for where, _, _ in found] == [("parameters", "password")]


@pytest.mark.parametrize(
    ("output", "evidence", "measured"),
    [
        ("one\ntwo\n", "one two", None),
        ("", "its command says yes", None),
        ('noise\n{"evidence": "3 files", "measured": 3, "asked": 4, "unit": "files"}\n', "3 files", 3.0),
        ('{"measured": true}', '{"measured": true}', None),
        ("[1]", "[1]", None),
    ],
)
def test_a_proof_may_give_numbers(output, evidence, measured):
    """The last line may be a JSON object; everything else is evidence as it stands."""
    proof = proof_of(held=True, output=output)
    assert (proof.held, proof.evidence, proof.measured) == (True, evidence, measured)
