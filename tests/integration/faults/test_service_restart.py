"""service-restart: the outage is the restart itself."""

import time

import pytest

from shakedown.plan.faults.service import ServiceRestart
from tests.integration.faults.harness import inject
from tests.integration.faults.service_views import Watcher, box, program

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("kind", ["box", "program"])
def test_down_and_up_within_the_hold_time(make_system, python_image, tmp_path, kind):
    """It is down from t(applied) for as long as the proof says, and answers again before the revert."""
    system = make_system({"web": program(tmp_path / "beats") if kind == "program" else box(python_image)})
    with Watcher(system.address("web.http").port) as client:
        time.sleep(0.2)
        record, _ = inject(system, ServiceRestart(target="web", grace=1), 4.0)
    at = system._clock.monotonic
    assert record.error is None
    assert record.effect.held, record.effect
    assert "it was down for" in record.effect.evidence
    during = client.answers(at(record.applied_at), at(record.revert_asked_at))
    assert during[0] is None
    assert during[-1] == "own"
    assert record.gone.held
    assert record.reverted_at - record.revert_asked_at < 1.0


def test_a_hold_time_shorter_than_the_restart(make_system, python_image):
    """The revert waits for the start that is under way: nothing is left down."""
    system = make_system({"web": box(python_image)})
    record, _ = inject(system, ServiceRestart(target="web", grace=1), 0.02)
    assert record.error is None
    assert not record.effect.held
    assert record.gone.held, record.gone
