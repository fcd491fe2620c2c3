"""What a plan may ask of a service's resources, and what is refused before anything starts."""

import itertools

import pytest
from pydantic import TypeAdapter, ValidationError

from shakedown.plan.faults import FaultPlan, conflict
from shakedown.plan.model import Plan

FAULT: TypeAdapter[FaultPlan] = TypeAdapter(FaultPlan)


def fault(type_: str, **fields: object) -> FaultPlan:
    return FAULT.validate_python({"type": f"resource-{type_}", "target": "web", **fields})


def plan(**service: object) -> Plan:
    """A plan with one service."""
    return Plan.model_validate(
        {"version": 1, "name": "test", "services": {"web": {"image": "web", "ports": {"http": 80}, **service}},
         "scenarios": {"s": {"executor": {"type": "constant-vus", "vus": 1, "duration": "1s"},
                             "http": {"target": "web.http", "requests": [{"name": "r", "get": "/"}]}}},
         "stages": {"baseline": {"scenarios": ["s"]}}}
    )  # fmt: skip


@pytest.mark.parametrize(
    ("type_", "fields"),
    [
        ("memory-limit", {}),
        ("memory-limit", {"memory": "5MB"}),
        ("cpu-limit", {"cpus": 0}),
        ("cpu-limit", {"cpus": float("inf")}),
        ("memory-pressure", {}),
        ("memory-pressure", {"fill": "100%"}),
        ("memory-pressure", {"fill": "50%", "size": "5MB"}),
        ("memory-pressure", {"size": 0}),
        ("oom-kill", {"victim": "somebody"}),
        ("cpu-hog", {"workers": 0}),
        ("cpu-hog", {"workers": 257}),
        ("pids", {"leave": -1}),
        ("open-files", {"leave": -1}),
        ("disk-full", {"path": "data"}),
        ("disk-full", {"path": "/"}),
        ("disk-full", {"path": "/data", "fill": "50%", "leave": 5}),
        ("disk-full", {"path": "/data", "fill": "101%"}),
        ("slow-disk", {}),
        ("slow-disk", {"write": 100}),
    ],
)
def test_beyond_the_limits(type_, fields):
    """What is out of bounds, contradictory or says nothing is no fault."""
    with pytest.raises(ValidationError):
        fault(type_, **fields)


def test_values_are_read_as_people_write_them():
    """Sizes and shares with units."""
    assert fault("memory-limit", memory="64MiB").memory == 64 * 2**20
    assert fault("memory-pressure", fill="90%").fill == 0.9
    assert fault("disk-full", path="/data", leave="1MB").leave == 1_000_000


@pytest.mark.parametrize(
    ("asked", "service", "word"),
    [
        (("memory-limit", {"memory": "64MB"}), {"limits": {"memory": "64MB"}}, "not lower"),
        (("cpu-limit", {"cpus": 1}), {"limits": {"cpus": 0.5}}, "not lower"),
        (("memory-pressure", {"fill": 0.9}), {}, "no memory limit"),
        (("memory-pressure", {"size": "64MB"}), {"limits": {"memory": "64MB"}}, "not less than"),
        (("oom-kill", {}), {}, "no memory limit"),
        (("disk-full", {"path": "/data"}), {"volumes": {"v": "/data"}}, "host's disk"),
        (("disk-full", {"path": "/database"}), {"tmpfs": {"/data": "5MB"}}, "host's disk"),
        (("cpu-hog", {}), {"process": ["sleep", "9"], "image": None}, "works on `docker` services"),
    ],
)
def test_wrong_in_this_plan(asked, service, word):
    """What cannot work with this service is told before anything starts."""
    if service.pop("image", "") is None:
        made = plan().model_copy(update={"services": {"web": _process(**service)}})
    else:
        made = plan(**service)
    problems = list(fault(asked[0], **asked[1]).problems(made))
    assert any(word in message for _, message, _ in problems), problems


def _process(process):
    from shakedown.plan.services import ProcessService

    return ProcessService(process=process)


@pytest.mark.parametrize(
    ("asked", "service"),
    [
        (("memory-limit", {"memory": "64MB"}), {}),
        (("memory-limit", {"memory": "64MB"}), {"limits": {"memory": "65MB"}}),
        (("memory-pressure", {"size": "64MB"}), {}),
        (("oom-kill", {}), {"limits": {"memory": "64MB"}}),
        (("disk-full", {"path": "/data/deep"}), {"tmpfs": {"/data/": "5MB"}}),
        (("disk-full", {"path": "/data", "at_most": "5MB"}), {"volumes": {"v": "/data"}}),
    ],
)
def test_right_in_this_plan(asked, service):
    """What can work has no problem."""
    assert list(fault(asked[0], **asked[1]).problems(plan(**service))) == []


def test_open_files_of_a_process():
    """Its limit is the kernel's, not the container's: a process service will do."""
    made = plan().model_copy(update={"services": {"web": _process(["sleep", "9"])}})
    assert list(fault("open-files").problems(made)) == []


def test_what_goes_together():
    """Different resources do; the same one twice, or anything with a kill, does not."""
    parts = [
        fault("memory-limit", memory="64MB"), fault("cpu-limit", cpus=1), fault("cpu-hog"),
        fault("open-files"), fault("disk-full", path="/data"), fault("disk-full", path="/logs"), fault("slow-disk", read="1MB"),
    ]  # fmt: skip
    assert [conflict(one, other) for one, other in itertools.combinations(parts, 2)] == [None] * 21
    assert conflict(fault("memory-pressure", size=5), parts[0]) == "web:memory"
    assert all(conflict(fault("oom-kill"), part) for part in parts)
    assert all(conflict(fault("pids"), part) for part in parts)
    assert conflict(fault("disk-full", path="/data/"), parts[4])
