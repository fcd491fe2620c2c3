"""A slow disk: what the service writes gets through at the asked speed, and fast again afterwards."""

import os

import pytest

from shakedown.faults import build_fault
from shakedown.guard import carry_out
from shakedown.plan.faults.resource import ResourceSlowDisk
from tests.integration.faults.harness import context_of, inject

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may throttle a container's disk"),
]

MB = 1_000_000
# Writes and syncs half a megabyte again and again, and notes how often.
WRITES = """
import os
done = 0
while True:
    with open("/scratch", "wb") as file:
        file.write(bytes(500_000))
        file.flush()
        os.fsync(file.fileno())
    done += 1
    open("/dev/shm/done", "w").write(str(done))
"""


@pytest.fixture
def start(make_system, python_image, engine):
    """Start one service that runs a program; the system and its container."""

    def start(program: str):
        system = make_system(
            {"web": {"image": python_image, "entrypoint": ["python3", "-c", program], "ports": {"http": 8000},
                     "tmpfs": {"/fast": "4MB"}}}
        )  # fmt: skip
        return system, engine.containers.get(system.handle("web").container)

    return start


def test_slow_writes(start, engine):
    """2 MB/s are asked: at least 70 and at most 130 % of that get through; the kernel's rules are as before afterwards."""
    system, _ = start(WRITES)
    fault = build_fault(ResourceSlowDisk(target="web", write=2 * MB), context_of(system))
    fault.check()
    before = fault._throttle()
    record, _ = inject(system, ResourceSlowDisk(target="web", write=2 * MB), hold=4)
    assert record.error is None, record.error
    assert record.refused is None, record.refused
    assert record.effect.held, record.effect
    assert 0.7 <= record.effect.measured / record.effect.asked <= 1.3
    assert record.gone.held, record.gone
    assert fault._throttle() == before


def test_nobody_writes(start):
    """A service that leaves the disk alone feels nothing: not held."""
    system, _ = start("import time; time.sleep(600)")
    record, _ = inject(system, ResourceSlowDisk(target="web", read=MB, write=MB))
    assert not record.effect.held
    assert record.gone.held


def test_memory_is_no_disk(start):
    """A tmpfs cannot be throttled: refused."""
    system, _ = start("import time; time.sleep(600)")
    record, _ = inject(system, ResourceSlowDisk(target="web", write=MB, path="/fast"))
    assert "not on a disk" in record.refused


def test_the_undo_of_the_journal(start, engine):
    """By another process, twice, and when the container is gone: no limit is left, and no error told."""
    system, container = start("import time; time.sleep(600)")
    fault = build_fault(ResourceSlowDisk(target="web", write=MB), context_of(system))
    fault.check()
    undo = fault.undo()
    fault.inject(0)
    assert fault._throttle()["write"] == MB
    carry_out(undo, None)
    assert fault._throttle()["write"] == 0
    carry_out(undo, None)
    container.remove(force=True)
    carry_out(undo, None)
    assert fault.gone().held
