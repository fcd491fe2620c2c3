"""Builds that are run in turn: how they are written, and in which order they run."""

import pytest

from shakedown.cli.builds import order_of, parse_builds
from shakedown.errors import UsageError


def test_a_build_is_variables_and_changes():
    """A key with a dot changes the plan, any other is a variable; several settings of one name are one build."""
    old, new = parse_builds(["old=VERSION=1", "new=services.api.image=a:2", "new=VERSION=2=b"])
    assert (old.name, old.environment, old.overrides) == ("old", {"VERSION": "1"}, [])
    assert (new.environment, new.overrides) == ({"VERSION": "2=b"}, ["services.api.image=a:2"])


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["old=VERSION=1"], "two builds are compared, not 1"),
        (["a=V=1", "b=V=2", "c=V=3"], "not 3"),
        (["old=VERSION=1", "new"], "write NAME=KEY=VALUE"),
        (["old=VERSION=1", "=V=1"], "write NAME=KEY=VALUE"),
        (["old=VERSION=1", "new=VERSION=1"], "are the same"),
    ],
)
def test_a_wrong_build_is_told(texts, said):
    """What is no pair of different builds is a usage error that says so."""
    with pytest.raises(UsageError, match=said):
        parse_builds(texts)


@pytest.mark.parametrize("runs", [2, 3, 5, 8])
def test_neither_build_is_always_first(runs):
    """A B B A: each has its runs, and what grows steadily meets both alike, up to one run's worth."""
    order = order_of(runs)
    assert [order.count(side) for side in (0, 1)] == [runs, runs]
    assert order[:4] == [0, 1, 1, 0]
    times = [sum(place for place, side in enumerate(order) if side == wanted) for wanted in (0, 1)]
    assert abs(times[0] - times[1]) <= 1
