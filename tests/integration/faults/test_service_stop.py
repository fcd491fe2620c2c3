"""service-stop: asked to end, made to end after its grace, started again."""

import time

import pytest

from shakedown.plan.faults.service import ServiceStop
from tests.integration.faults.harness import inject
from tests.integration.faults.service_views import Watcher, box, gets_through, program

pytestmark = pytest.mark.integration

ENDS_IN_ORDER = (
    "import signal, sys, time\n"
    "def end(*_):\n"
    "    time.sleep(0.5); print('said good-bye', flush=True); sys.exit()\n"
    "signal.signal(signal.SIGTERM, end)\n"
    "print('ready', flush=True)\n"
    "while True: time.sleep(0.05)\n"
)


@pytest.mark.parametrize("kind", ["box", "program"])
def test_stopped_and_started_again(make_system, python_image, tmp_path, kind):
    """No client gets an answer while it holds; afterwards it is as before, at the same port."""
    system = make_system({"web": program(tmp_path / "beats") if kind == "program" else box(python_image)})
    with Watcher(system.address("web.http").port) as client:
        time.sleep(0.2)
        record, _ = inject(system, ServiceStop(target="web", grace=1), 1.5)
    at = system._clock.monotonic
    assert record.error is None
    assert record.effect.held, record.effect
    assert client.answered(at(record.applied_at), at(record.revert_asked_at)) == {None}
    assert record.gone.held, record.gone
    assert gets_through(system.address("web.http").port) == "own"


@pytest.mark.parametrize("kind", ["box", "program"])
@pytest.mark.parametrize(("grace", "ended"), [(5, True), (0, False)])
def test_the_grace(make_system, python_image, tmp_path, kind, grace, ended):
    """It gets its grace to end in order; without any, it does not."""
    command = ["python3", "-c", ENDS_IN_ORDER]
    service = {"process": command} if kind == "program" else {"image": python_image, "entrypoint": command}
    system = make_system({"web": {**service, "stop_grace": "200ms", "ports": {"http": 8000 if kind == "box" else 0}}})
    log = tmp_path / "logs" / "web.log"
    for _ in range(200):
        if log.exists() and "ready" in log.read_text():
            break
        time.sleep(0.05)
    record, _ = inject(system, ServiceStop(target="web", grace=grace), 1.0)
    assert record.effect.held, record.effect
    assert (record.applied_at - record.asked_at >= 0.5) is ended
    assert ("said good-bye" in log.read_text()) is ended
