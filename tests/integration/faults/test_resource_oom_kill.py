"""The kernel kills for memory: the process that was meant, counted, and everything as before afterwards."""

import pytest

from shakedown.faults import build_fault
from shakedown.guard import carry_out
from shakedown.plan.faults.resource import ResourceOomKill
from tests.integration.faults.harness import context_of, inject

pytestmark = pytest.mark.integration

MB = 1_000_000
WAIT = "import time; time.sleep(600)"
# A small first process, and a child that holds 30 MB.
FAMILY = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; held = bytearray(30_000_000); time.sleep(600)"])
while True:
    child.poll()
    time.sleep(0.05)
"""


@pytest.fixture
def start(make_system, python_image, engine):
    """Start one service with 80 MB that runs a program; the system and its container."""

    def start(program: str, **options):
        system = make_system(
            {"web": {"image": python_image, "entrypoint": ["python3", "-c", program], "ports": {"http": 8000},
                     "limits": {"memory": 80 * MB}, **options}}
        )  # fmt: skip
        return system, engine.containers.get(system.handle("web").container)

    return start


def scores(container) -> set[str]:
    _, out = container.exec_run(["sh", "-c", "cat /proc/[0-9]*/oom_score_adj"])
    return set(out.decode().split())


def test_the_first_process(start):
    """Killed for memory, as the engine says; down for the hold time, and started again."""
    system, container = start(WAIT)

    def state():
        container.reload()
        return container.attrs["State"]

    record, found = inject(system, ResourceOomKill(target="web"), during=state)
    assert record.error is None, record.error
    assert record.refused is None, record.refused
    assert record.effect.held, record.effect
    assert "python3" in record.effect.evidence
    assert not found[0]["Running"]
    assert found[0]["OOMKilled"]
    assert record.gone.held, record.gone
    assert state()["Running"]
    assert scores(container) == {"0"}


def test_the_first_process_of_a_service_that_restarts(start):
    """The engine starts it anew by itself: proved by the engine's events, which do not forget."""
    system, _ = start(WAIT, restart="always")
    record, _ = inject(system, ResourceOomKill(target="web"), hold=3)
    assert record.error is None, record.error
    assert record.effect.held, record.effect
    assert record.gone.held, record.gone


def test_the_largest_process(start):
    """The child that holds most is killed, the first process lives, and nobody's standing stays raised."""
    system, container = start(FAMILY)
    record, _ = inject(system, ResourceOomKill(target="web", victim="largest"))
    assert record.error is None, record.error
    assert record.effect.held, record.effect
    assert record.effect.measured >= 1
    assert record.gone.held, record.gone
    container.reload()
    assert container.attrs["State"]["Running"]
    assert scores(container) == {"0"}
    assert len(container.top()["Processes"]) == 1


def test_no_limit_to_exceed(make_system, python_image):
    """Without a memory limit it is refused: the kernel would kill anywhere."""
    system = make_system(
        {"web": {"image": python_image, "entrypoint": ["python3", "-c", WAIT], "ports": {"http": 8000}}}
    )
    record, _ = inject(system, ResourceOomKill(target="web"))
    assert "no memory limit" in record.refused


def test_the_undo_of_the_journal(start, engine):
    """Nobody is killed yet: it sets everybody's standing back; the container has ended: it starts it; twice is as once."""
    system, container = start(WAIT)
    fault = build_fault(ResourceOomKill(target="web"), context_of(system))
    fault.check()
    undo = fault.undo()
    container.exec_run(["sh", "-c", "echo 999 > /proc/1/oom_score_adj"])  # what the fault does first
    assert "undone" in carry_out(undo, engine)
    assert scores(container) == {"0"}
    fault.inject(0)
    container.reload()
    assert container.status == "exited"
    assert "started" in carry_out(undo, engine)
    container.reload()
    assert container.status == "running"
    assert "started anew" in carry_out(undo, engine)
    assert fault.gone().held
