"""What a plan may say of faults of whole services."""

import pytest
from pydantic import TypeAdapter, ValidationError

from shakedown.plan.faults import conflict
from shakedown.plan.faults.service import (
    ENDING_SIGNALS,
    ServiceClock,
    ServiceCrashLoop,
    ServiceFault,
    ServiceKill,
    ServicePause,
    ServiceReplace,
    ServiceRestart,
    ServiceRollingRestart,
    ServiceStop,
)
from shakedown.plan.model import Plan

PLAN = Plan.model_validate({
    "version": 1, "name": "p",
    "services": {"box": {"image": "x", "ports": {"http": 80}}, "other": {"image": "x"},
                 "program": {"process": ["x"]}, "vendor": {"url": "http://127.0.0.1:1"}},
    "scenarios": {"s": {"executor": {"type": "constant-vus", "vus": 1, "duration": "1s"},
                        "http": {"target": "box.http", "requests": [{"name": "r", "get": "/"}]}}},
    "stages": {"baseline": {"scenarios": ["s"]}},
})  # fmt: skip
EACH = [
    ServiceKill(target="x"), ServiceStop(target="x"), ServicePause(target="x"), ServiceRestart(target="x"),
    ServiceCrashLoop(target="x"), ServiceReplace(target="x", command=["y"]), ServiceClock(target="x", ahead="1h"),
]  # fmt: skip


def wrong(fault) -> list[tuple]:
    return [(place, text) for place, text, _ in fault.problems(PLAN)]


@pytest.mark.parametrize(("written", "means"), [("SIGKILL", "SIGKILL"), ("kill", "SIGKILL"), ("Term", "SIGTERM")])
def test_signals_by_name(written, means):
    """A signal is given by its name, with or without SIG."""
    assert ServiceKill(target="x", signal=written).signal == means


@pytest.mark.parametrize(
    ("signal", "words"), [("SIGSTOP", "service-pause"), ("SIGCONT", "ends nothing"), ("SIGWINCH", "no signal that ends"),
                          ("9", "no signal that ends"), ("SIGNONE", "no signal that ends")]
)  # fmt: skip
def test_signals_that_end_nothing(signal, words):
    """What ends no process is refused, with what to use instead."""
    with pytest.raises(ValidationError, match=words):
        ServiceKill(target="x", signal=signal)


@pytest.mark.parametrize("given", [{}, {"ahead": "1h", "behind": "1h"}, {"ahead": 0}, {"behind": "11000d"}])
def test_a_clock_is_off_one_way(given):
    """By how much, and ahead or behind; anything else is refused."""
    with pytest.raises(ValidationError):
        ServiceClock(target="x", **given)
    assert (ServiceClock(target="x", ahead="1h").offset, ServiceClock(target="x", behind="1m").offset) == (3600, -60)


def test_every_ending_signal_exists():
    """Each name is one that this system knows."""
    import signal

    assert [name for name in ENDING_SIGNALS if not hasattr(signal, name)] == []
    assert len(set(ENDING_SIGNALS)) == len(ENDING_SIGNALS)


@pytest.mark.parametrize("fault", EACH, ids=lambda fault: fault.type)
def test_the_whole_service_is_claimed(fault):
    """Nothing else may touch the service meanwhile; another service may be touched."""
    same = fault.model_copy(update={"target": "x"})
    assert conflict(fault, same) == "x"
    assert conflict(fault, fault.model_copy(update={"target": "y"})) is None
    assert conflict(fault, ServiceRollingRestart(targets=["y", "x"])) == "x"


@pytest.mark.parametrize("fault", EACH, ids=lambda fault: fault.type)
def test_what_it_works_on(fault):
    """Containers and programs of ours; what answers elsewhere is refused, as is what is not there."""
    for name in ("box", "program"):
        assert wrong(fault.model_copy(update={"target": name})) == []
    assert "vendor` is external" in wrong(fault.model_copy(update={"target": "vendor"}))[0][1]
    assert "no such service" in wrong(fault.model_copy(update={"target": "boxx"}))[0][1]


def test_what_only_containers_have():
    """A crash behind the engine's back, images and entry points are for containers."""
    assert wrong(ServiceKill(target="box", crash=True)) == []
    assert [place for place, _ in wrong(ServiceKill(target="program", crash=True))] == [("crash",)]
    fault = ServiceReplace(target="program", image="y", entrypoint=["z"], command="run it")
    assert [place for place, _ in wrong(fault)] == [("image",), ("entrypoint",), ("command",)]


def test_replaced_by_nothing():
    """A replacement that changes nothing is no fault."""
    with pytest.raises(ValidationError, match="replaced by what"):
        ServiceReplace(target="x")
    assert ServiceReplace(target="x", environment={"A": None}).environment == {"A": None}


def test_a_rolling_restarts_services():
    """Each is one of ours, and there once; it is named by all of them."""
    fault = ServiceRollingRestart(targets=["box", "vendor", "box", "nobody"])
    assert fault.where == "box, vendor, box, nobody"
    assert [place for place, _ in wrong(fault)] == [("targets", 1), ("targets", 2), ("targets", 3)]
    assert wrong(ServiceRollingRestart(targets=["box", "program"])) == []


@pytest.mark.parametrize(
    "given", [{"type": "service-stop", "target": "x", "grace": "11s"}, {"type": "service-crash-loop", "target": "x", "uptime": 0},
              {"type": "service-rolling-restart", "targets": []}, {"type": "service-rolling-restart", "targets": ["a"], "at_once": 0},
              {"type": "service-restart", "target": "x", "grace": -1}]
)  # fmt: skip
def test_limits(given):
    """Values beyond what the fault can keep are refused."""
    with pytest.raises(ValidationError):
        TypeAdapter(ServiceFault).validate_python(given)


def test_every_parameter_is_described():
    """Every field says what it means, for the catalogue."""
    for model in (*map(type, EACH), ServiceRollingRestart):
        for name, info in model.model_fields.items():
            if name not in ("type", "target"):
                assert info.description, f"{model.__name__}.{name}"
