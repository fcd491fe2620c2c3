"""service-rolling-restart: one after another, each healthy before the next."""

import time

import pytest

from shakedown.plan.faults.service import ServiceRollingRestart
from tests.integration.faults.harness import inject
from tests.integration.faults.service_views import Watcher, box, program

pytestmark = pytest.mark.integration


def test_one_after_another(make_system, python_image, tmp_path):
    """A container and a program are down one after the other, never both, and both are back."""
    system = make_system({"first": program(tmp_path / "beats"), "second": box(python_image)})
    plan = ServiceRollingRestart(targets=["first", "second"], pause=0.3, grace=1)
    with (
        Watcher(system.address("first.http").port) as first,
        Watcher(system.address("second.http").port) as second,
    ):
        time.sleep(0.2)
        record, _ = inject(system, plan, 8.0)
    assert record.error is None
    assert record.effect.held, record.effect
    assert (record.effect.asked, record.effect.measured) == (2, 2)
    assert record.target == "first, second"
    downs = [[begun for begun, _, answer in client.seen if answer is None] for client in (first, second)]
    assert all(downs)
    assert max(downs[0]) < min(downs[1])
    assert first.seen[-1][2] == second.seen[-1][2] == "own"
    assert record.gone.held, record.gone


def test_both_at_once(make_system, tmp_path):
    """With `at_once: 2` no pause is between them: both are restarted in far less time than that."""
    system = make_system({"first": program(tmp_path / "a"), "second": program(tmp_path / "b")})
    record, _ = inject(system, ServiceRollingRestart(targets=["first", "second"], at_once=2, pause=60), 4.0)
    assert record.effect.held, record.effect
    assert record.gone.held


def test_the_roll_ends_where_one_does_not_get_healthy(make_system, tmp_path):
    """The next one is left alone, and the report says why."""
    marker = tmp_path / "started"
    once = f"import os, sys\nif os.path.exists({str(marker)!r}): __import__('time').sleep(600)\nopen({str(marker)!r}, 'w')\n"
    service = program(tmp_path / "beats")
    bad = {**service, "process": [*service["process"][:2], once + service["process"][2], *service["process"][3:]],
           "health": {"http": "http:/", "within": "1s", "timeout": "300ms"}}  # fmt: skip
    system = make_system({"bad": bad, "next": program(tmp_path / "next")})
    pid = system.handle("next").pid
    record, _ = inject(system, ServiceRollingRestart(targets=["bad", "next"], pause=0, grace=1), 4.0)
    assert record.effect.held, record.effect
    assert "the roll ended at `bad`" in record.effect.evidence
    assert record.effect.measured == 1
    assert system.handle("next").pid == pid


def test_a_hold_time_too_short_for_all(make_system, tmp_path):
    """Not all were restarted: not proved; the roll ends, and nothing is down."""
    system = make_system({"first": program(tmp_path / "a"), "second": program(tmp_path / "b")})
    record, _ = inject(system, ServiceRollingRestart(targets=["first", "second"], pause=30), 2.0)
    assert not record.effect.held
    assert record.effect.measured == 1
    assert record.gone.held, record.gone
