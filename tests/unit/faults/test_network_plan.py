"""Faults of connections in a plan: what is refused before anything starts, and what goes together."""

import pytest
from pydantic import TypeAdapter, ValidationError

from shakedown.plan.experiments import Experiment
from shakedown.plan.faults import FaultPlan, conflict
from shakedown.plan.faults.network import NetworkLatency, NetworkReset, OnConnections, fronted
from shakedown.plan.model import Plan

FAULT = TypeAdapter(FaultPlan)
SERVICES = {
    "api": {"image": "api", "ports": {"http": 8000}},
    "redis": {"image": "redis", "health": {"tcp": 6379}},
    "quiet": {"image": "quiet"},
    "job": {"process": ["job"], "ports": {"http": 9000}},
    "mute": {"process": ["mute"]},
    "vendor": {"url": "http://127.0.0.1:7000"},
    "safe": {"url": "https://example.org", "allow": True},
}


def plan_with(*faults: dict) -> Plan:
    return Plan.model_validate({
        "version": 1, "name": "p", "services": SERVICES,
        "scenarios": {"s": {"executor": {"type": "constant-vus", "vus": 1, "duration": "1s"},
                            "http": {"target": "api.http", "requests": [{"name": "r", "get": "/"}]}}},
        "stages": {"faults": {"load": "s", "experiments": [
            {"name": f"e{number}", "fault": fault, "hold": "1s", "recover_within": "1s"}
            for number, fault in enumerate(faults)]}} if faults else {"baseline": {"scenarios": ["s"]}},
    })  # fmt: skip


def said(**fault: object) -> list[str]:
    """What is wrong with a latency fault in the plan."""
    model = NetworkLatency.model_validate({"latency": "100ms", **fault})
    return [message for _, message, _ in model.problems(plan_with())]


@pytest.mark.parametrize(
    ("fault", "word"),
    [
        ({"target": "nobody"}, "no such service"),
        ({"target": "quiet"}, "no known port"),
        ({"target": "api", "peers": ["nobody"]}, "no such other service"),
        ({"target": "api", "peers": ["api"]}, "no such other service"),
        ({"target": "api", "peers": ["job"]}, "no address on the run's network"),
        ({"target": "api", "peers": ["vendor"]}, "no address on the run's network"),
        ({"target": "api", "direction": "out", "peers": ["quiet"]}, "no other service has a known port"),
        ({"target": "job", "direction": "out"}, "sees only connections to it"),
        ({"target": "job", "peers": ["api"]}, "sees only connections to it"),
        ({"target": "job", "ports": [1]}, "has no port 1"),
        ({"target": "mute"}, "no port that a proxy could stand before"),
        ({"target": "safe"}, "certificate does not fit"),
    ],
)
def test_what_cannot_work_is_said_before_the_run(fault, word):
    """Each mistake is named in words."""
    assert any(word in message for message in said(**fault)), said(**fault)


@pytest.mark.parametrize(
    "fault",
    [
        {"target": "api"},
        {"target": "quiet", "ports": [5000]},
        {"target": "quiet", "direction": "out"},
        {"target": "quiet", "direction": "out", "ports": [443]},
        {"target": "api", "direction": "both", "peers": ["redis"]},
        {"target": "api", "direction": "out", "peers": ["vendor"]},
        {"target": "job"},
        {"target": "job", "ports": [9000]},
        {"target": "vendor"},
    ],
)
def test_what_can_work_is_let_be(fault):
    """No word about a fault that has everything it needs."""
    assert said(**fault) == []


@pytest.mark.parametrize(
    "fault",
    [
        {"type": "network-latency", "latency": 0},
        {"type": "network-latency", "latency": "11m"},
        {"type": "network-latency", "latency": "1s", "share": 0},
        {"type": "network-latency", "latency": "1s", "share": "150%"},
        {"type": "network-latency", "latency": "1s", "distribution": "odd"},
        {"type": "network-bandwidth", "rate": 10},
        {"type": "network-reset", "after": "1s", "bytes": 5},
        {"type": "network-refused", "existing": "reset"},
        {"type": "network-half-open", "seen_by": "nobody"},
        {"type": "network-connection-limit", "connections": -1},
        {"type": "network-data-limit", "bytes": 0},
        {"type": "network-slicing", "pause": 0},
    ],
)
def test_limits(fault):
    """A value out of bounds is refused by the model."""
    with pytest.raises(ValidationError):
        FAULT.validate_python({**fault, "target": "api"})


def test_faults_of_connections_go_together_unless_they_are_the_same():
    """Different kinds stack; the same kind does where direction or peers differ; nothing goes with the whole service."""

    def latency(**more: object) -> OnConnections:
        return NetworkLatency(target="api", latency=1, **more)

    reset = NetworkReset(target="api")
    assert conflict(latency(), reset) is None
    assert conflict(latency(), latency()) is not None
    assert conflict(latency(), latency(direction="out")) is None
    assert conflict(latency(direction="both"), latency(direction="out")) is not None
    assert conflict(latency(peers=["redis"]), latency(peers=["quiet"])) is None
    assert conflict(latency(peers=["redis"]), latency()) is not None
    kill = FAULT.validate_python({"type": "service-kill", "target": "api"})
    assert conflict(kill, latency()) is not None


def test_the_proxy_stands_before_what_a_fault_names():
    """Processes and outside URLs with a fault of connections, and nobody else."""
    assert fronted(plan_with()) == frozenset()
    faults = [{"type": "network-latency", "latency": 1, "target": name} for name in ("api", "job", "vendor")]
    assert fronted(plan_with(*faults)) == {"job", "vendor"}


def test_a_staircase_climbs_over_any_parameter():
    """`share` and `latency` can be the steps."""
    experiment = Experiment.model_validate({
        "name": "e", "fault": {"type": "network-latency", "target": "api", "latency": "1s"}, "hold": "1s",
        "recover_within": "1s", "staircase": {"parameter": "share", "values": ["10%", "50%"]},
        "expect": {"during": ["s.p95 < 1s"]},
    })  # fmt: skip
    assert [fault.share for fault in experiment.stairs()] == [0.1, 0.5]
