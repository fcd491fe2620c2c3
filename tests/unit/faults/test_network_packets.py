"""Faults of packets: what a plan may say, what conflicts, and when a counted share is the one that was asked for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from shakedown.faults.network.packets import judge_share
from shakedown.faults.network.shares import Counted
from shakedown.plan.faults import FaultPlan, conflict
from shakedown.plan.faults.packets import (
    NetworkCorruption,
    NetworkDelay,
    NetworkDuplication,
    NetworkLoss,
    NetworkPartition,
    NetworkReordering,
)  # fmt: skip

FAULT = TypeAdapter(FaultPlan)


@pytest.mark.parametrize(
    ("entry", "model"),
    [
        ({"type": "network-loss", "target": "a", "share": "5%"}, NetworkLoss),
        ({"type": "network-corruption", "target": "a", "share": 0.01, "undetected": True}, NetworkCorruption),
        ({"type": "network-duplication", "target": "a", "share": "1%", "peers": ["b"]}, NetworkDuplication),
        ({"type": "network-reordering", "target": "a", "share": "10%", "gap": "5ms", "ports": [80]}, NetworkReordering),
        ({"type": "network-delay", "target": "a", "latency": "50ms", "jitter": "10ms"}, NetworkDelay),
        ({"type": "network-partition", "between": [["a"], ["b", "c"]]}, NetworkPartition),
    ],
)
def test_entries_are_read(entry, model):
    """Every fault of packets is an entry of a plan."""
    assert isinstance(FAULT.validate_python(entry), model)


@pytest.mark.parametrize(
    ("entry", "word"),
    [
        ({"type": "network-loss", "target": "a"}, "share"),
        ({"type": "network-loss", "target": "a", "share": 0}, "greater than 0"),
        ({"type": "network-loss", "target": "a", "share": "101%"}, "less than or equal to 1"),
        ({"type": "network-loss", "target": "a", "share": "5%", "direction": "up"}, "direction"),
        ({"type": "network-loss", "target": "a", "share": "5%", "ports": list(range(1, 17))}, "at most 15"),
        ({"type": "network-reordering", "target": "a", "share": "100%"}, "less than 1"),
        ({"type": "network-delay", "target": "a", "latency": "1m"}, "less than or equal to 10"),
        ({"type": "network-delay", "target": "a", "latency": "1s", "jitter": "2s"}, "at most `latency`"),
        ({"type": "network-partition"}, "`between: "),
        ({"type": "network-partition", "target": "a", "between": [["a"], ["b"]]}, "or groups"),
        ({"type": "network-partition", "between": [["a"], []]}, "none of them empty"),
        ({"type": "network-partition", "between": [["a"], ["a"]]}, "two groups"),
        ({"type": "network-partition", "between": [["a"], ["b"], ["c"]], "direction": "in"}, "one-way"),
    ],
)
def test_limits(entry, word):
    """What is out of limits is an error of the plan, and the message says what is allowed."""
    with pytest.raises(ValidationError, match=word):
        FAULT.validate_python(entry)


def test_what_goes_together():
    """Different faults of one target go together, the same twice does not; nor reordering with a delay."""
    loss, again = NetworkLoss(target="a", share=0.1), NetworkLoss(target="a", share=0.2)
    delay = NetworkDelay(target="a", latency=0.1)
    assert conflict(loss, delay) is None
    assert conflict(loss, again) == "a:network-loss"
    assert conflict(loss, NetworkLoss(target="b", share=0.1)) is None
    assert conflict(delay, NetworkReordering(target="a", share=0.1)) == "a:network-delay"
    groups = NetworkPartition(between=[["a"], ["b"]])
    assert conflict(groups, NetworkPartition(target="b")) == "b:network-partition"


@pytest.mark.parametrize(
    ("seen", "hit", "asked", "agrees"),
    [
        (1000, 50, 0.05, True),
        (1000, 10, 0.05, False),  # a fifth of what was asked
        (1000, 120, 0.05, False),  # more than twice
        (300, 15, 0.05, False),  # the right share of too few
        (0, 0, 0.05, False),
        (8, 8, 1.0, True),
        (8, 7, 1.0, False),  # all were to be lost, and one was not
        (4, 4, 1.0, False),
        (100_000, 4_000, 0.05, False),  # so many that four is not five
    ],
)
def test_a_share_is_as_asked(seen, hit, asked, agrees):
    """Enough packets, the asked share within the interval, and not off by half; else it is not proved."""
    assert Counted(seen, hit).agrees(asked) is agrees


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_the_interval_holds_the_share(seen, part):
    """The interval lies within 0 and 1, around what was counted."""
    counted = Counted(seen, round(seen * part))
    low, high = counted.interval()
    assert 0 <= low <= counted.share + 1e-9
    assert counted.share - 1e-9 <= high <= 1


def test_a_direction_that_disagrees_spoils_the_whole():
    """Twice too much one way and next to nothing the other is not the asked share on the whole."""
    assert judge_share({"in": Counted(1000, 52), "out": Counted(1000, 47)}, 0.05, "dropped").held
    skewed = judge_share({"in": Counted(1000, 98), "out": Counted(1000, 4)}, 0.05, "dropped")
    assert not skewed.held
    assert skewed.measured == pytest.approx(5.1)
