"""Places of a container filled: as full as asked, empty again afterwards, and never the host's disk by mistake."""

import time

import pytest

from shakedown.faults import build_fault
from shakedown.guard import carry_out
from shakedown.plan.faults.resource import ResourceDiskFull
from tests.integration.faults.harness import context_of, inject

pytestmark = pytest.mark.integration

MB = 1_000_000


@pytest.fixture
def start(make_system, python_image, engine):
    """Start one service with places; the system, its container, and a try to write there as its own user."""

    def start(memory: int | None = None, **places):
        system = make_system(
            {"web": {"image": python_image, "entrypoint": ["python3", "-c", "import time; time.sleep(600)"],
                     "ports": {"http": 8000}, "limits": {"memory": memory} if memory else {}, **places}}
        )  # fmt: skip
        container = engine.containers.get(system.handle("web").container)

        def write(path: str, size: int = 100_000) -> str:
            program = f"open('{path}/mine', 'wb').write(bytes({size})); print('written')"
            return container.exec_run(["python3", "-c", program]).output.decode()

        return system, container, write

    return start


def listing(container, path: str) -> list[str]:
    return container.exec_run(["ls", "-A", path]).output.decode().split()


def test_a_full_tmpfs(start):
    """A write of the service fails with ENOSPC meanwhile, and succeeds afterwards; our file is gone."""
    system, container, write = start(tmpfs={"/data": "20MB"})
    plan = ResourceDiskFull(target="web", path="/data")
    record, found = inject(system, plan, hold=3, during=lambda: time.sleep(1) or write("/data"))
    assert record.error is None, record.error
    assert record.effect.held, record.effect
    assert "ENOSPC" in record.effect.evidence
    assert "No space left" in found[0]
    assert record.gone.held, record.gone
    assert "written" in write("/data", 15_000_000)
    assert listing(container, "/data") == ["mine"]


def test_a_share_of_a_tmpfs(start):
    """70 % are asked and in use; there is room for the rest."""
    system, _, write = start(tmpfs={"/data": "20MB"})
    record, found = inject(
        system, ResourceDiskFull(target="web", path="/data", fill=0.7), hold=3,
        during=lambda: (time.sleep(1), write("/data", 4_000_000), write("/data", 8_000_000)),
    )  # fmt: skip
    assert record.effect.held, record.effect
    assert record.effect.measured == pytest.approx(0.7, abs=0.02)
    assert "written" in found[0][1]
    assert "No space left" in found[0][2]
    assert record.gone.held


def test_a_tmpfs_is_memory(start):
    """A fill that the container's memory limit has no room for is refused."""
    system, _, _ = start(memory=40 * MB, tmpfs={"/data": "60MB"})
    record, _ = inject(system, ResourceDiskFull(target="web", path="/data"))
    assert "a tmpfs is memory" in record.refused


def test_the_hosts_disk_is_not_filled(start):
    """A volume is the host's disk: refused without `at_most`, beyond it, and to the end in any case."""
    system, container, _ = start(volumes={"store": "/store"})
    record, _ = inject(system, ResourceDiskFull(target="web", path="/store", fill=0.5))
    assert "the host's" in record.refused
    record, _ = inject(system, ResourceDiskFull(target="web", path="/store", leave=10, at_most=5 * MB))
    assert "`at_most` is" in record.refused
    record, _ = inject(system, ResourceDiskFull(target="web", path="/store", leave=10, at_most=10**15))
    assert "would stay free" in record.refused
    record, _ = inject(system, ResourceDiskFull(target="web", path="/nowhere"))
    assert "cannot be looked at" in record.refused
    assert listing(container, "/store") == []


def test_it_removes_itself(start):
    """Nobody takes it back: at the deadline the file is gone, and so are our processes."""
    system, container, _ = start(tmpfs={"/data": "10MB"})
    fault = build_fault(ResourceDiskFull(target="web", path="/data"), context_of(system))
    fault.check()
    fault.inject(time.time() + 2)
    until = time.monotonic() + 10
    while (len(container.top()["Processes"]) > 1 or listing(container, "/data")) and time.monotonic() < until:
        time.sleep(0.2)
    assert listing(container, "/data") == []
    assert len(container.top()["Processes"]) == 1


def test_a_file_on_a_volume_outlives_a_restart_and_its_undo_does_too(start, engine):
    """The container restarted in mid-fault: the journal's undo still removes the file."""
    system, container, _ = start(volumes={"store": "/store"})
    free = int(container.exec_run(["df", "-Pk", "/store"]).output.decode().split()[-3]) * 1024
    fault = build_fault(
        ResourceDiskFull(target="web", path="/store", leave=free - 60 * MB, at_most=300 * MB), context_of(system)
    )
    fault.check()
    undo = fault.undo()
    fault.inject(time.time() + 60)
    for _ in range(50):
        if listing(container, "/store"):
            break
        time.sleep(0.1)
    container.restart(timeout=0)
    assert len(listing(container, "/store")) == 1
    assert "undone" in carry_out(undo, engine)
    assert listing(container, "/store") == []
