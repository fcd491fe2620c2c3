"""Who else fell, in which order, and whether they had a reason to."""

import pytest

from shakedown.analysis.behaviour.cascade import Ceiling, dependents, falls, unexpected
from tests.unit.behaviour.made import gauge, looks

DEPENDS = {"db": [], "api": ["db"], "web": ["api"], "mail": [], "stats": []}


def found(probes=(), samples=(), *, excused=("db", "api", "web"), ceilings=None):
    return falls(
        list(probes), list(samples), (2.0, 9.0), 10.0, 35.0, excused=excused, ceilings=ceilings or {}, services=DEPENDS
    )


def test_dependents_are_direct_and_indirect():
    """Whatever depends on the victim, through others too; rings do not hang."""
    assert dependents(DEPENDS, ["db"]) == {"db", "api", "web"}
    assert dependents(DEPENDS, ["mail"]) == {"mail"}
    assert dependents({"a": ["b"], "b": ["a"]}, ["a"]) == {"a", "b"}
    assert dependents(DEPENDS, []) == frozenset()


def test_a_sound_system_shows_no_fall():
    """Healthy looks, steady memory, no restart: nothing."""
    quiet = [*gauge("mail", "memory", lambda _: 50e6), *gauge("mail", "restarts", lambda _: 3.0)]
    assert found([*looks("mail"), *looks("api")], quiet, ceilings={"mail": Ceiling(memory=100e6)}) == ()


def test_falls_come_in_their_order_with_their_reason():
    """The dependent fell first and may; the one that depends on nothing fell later and may not."""
    probes = [*looks("mail", lambda at: 14 <= at < 20), *looks("api", lambda at: 11 <= at < 21)]
    seen = found(probes)
    assert [(fall.service, fall.what, fall.expected) for fall in seen] == [
        ("api", "unhealthy", True), ("mail", "unhealthy", False),
    ]  # fmt: skip
    assert [fall.at for fall in seen] == pytest.approx([11.0, 14.0])
    assert seen[0].resolution == pytest.approx(0.1)
    assert [fall.service for fall in unexpected(seen)] == ["mail"]


def test_one_look_that_went_wrong_is_no_fall():
    """Half a second of unhealthiness, several times over, is none; a second and more is."""
    assert found(looks("mail", lambda at: at % 2 < 0.5 and at > 10)) == ()
    assert found(looks("mail", lambda at: 12 <= at < 13.3))


def test_what_was_down_before_did_not_fall_now():
    """A service that was unhealthy when the fault came, or after the watching, did not fall because of it."""
    assert found(looks("mail", lambda at: at > 5)) == ()
    assert found(looks("mail", lambda at: at > 35.5)) == ()
    assert found(samples=gauge("mail", "restarts", lambda at: float(at > 5))) == ()


def test_restarts_and_kills_for_memory_are_counted():
    """A counter that grew after the injection, at the sample that shows it first."""
    samples = [
        *gauge("mail", "restarts", lambda at: 2.0 if at >= 15 else 0.0),
        *gauge("stats", "oom_kills", lambda at: float(at >= 22)),
    ]
    assert [(fall.at, fall.service, fall.what, fall.detail) for fall in found(samples=samples)] == [
        (15.3, "mail", "restarted", "2 times"), (22.3, "stats", "killed for memory", ""),
    ]  # fmt: skip


def test_a_limit_that_is_reached_is_a_fall():
    """Memory and open files within five per cent of the limit, if they were below it before; without a limit nothing."""
    full = gauge("mail", "memory", lambda at: 99e6 if at > 20 else 50e6)
    files = gauge("stats", "open_files", lambda at: 1000.0 if at > 12 else 100.0)
    ceilings = {"mail": Ceiling(memory=100e6), "stats": Ceiling(open_files=1024)}
    assert [fall.what for fall in found(samples=[*full, *files], ceilings=ceilings)] == [
        "open files at their limit", "memory at its limit",
    ]  # fmt: skip
    assert found(samples=[*full, *files]) == ()
    assert found(samples=gauge("mail", "memory", lambda _: 99e6), ceilings=ceilings) == ()


def test_slowness_is_told_and_is_no_fall_by_itself():
    """Health checks that take a hundred times as long are listed; on a busy machine that accuses nobody."""
    seen = found(looks("mail", latency=lambda at: 0.5 if 12 <= at < 30 else 0.004))
    assert [fall.what for fall in seen] == ["slower"]
    assert unexpected(seen) == []
    assert found(looks("mail", latency=lambda at: 0.1 if at >= 12 else 0.004)) == ()
