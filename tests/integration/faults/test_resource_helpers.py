"""Processes of ours inside a service's own limits: they take what was asked, end, and leave nothing."""

import time

import pytest

from shakedown.faults import build_fault
from shakedown.guard import carry_out
from shakedown.plan.faults.resource import ResourceCpuHog, ResourceMemoryPressure
from tests.integration.faults.harness import context_of, inject

pytestmark = pytest.mark.integration

MB = 1_000_000
WAIT = "import time; time.sleep(600)"
# What a container without a shell looks like: all that it could be run with is gone.
NO_SHELL = "import os, time; [os.remove(f'/usr/bin/{n}') for n in ('sh', 'tail', 'head')]; time.sleep(600)"


@pytest.fixture
def start(make_system, python_image, engine):
    """Start one service that runs a program; the system and its container."""

    def start(program: str = WAIT, **limits):
        system = make_system(
            {
                "web": {
                    "image": python_image,
                    "entrypoint": ["python3", "-c", program],
                    "ports": {"http": 8000},
                    "limits": limits,
                }
            }
        )
        return system, engine.containers.get(system.handle("web").container)

    return start


def programs(container) -> list[str]:
    """What runs in a container, as the engine sees it."""
    return [row[-1] for row in container.top()["Processes"]]


def used(container) -> int:
    return container.client.api.stats(container.id, stream=False)["memory_stats"]["stats"]["total_rss"]


def test_memory_filled(start):
    """80 % of 100 MB are asked and in use in the service's own cgroup; afterwards they are free."""
    system, container = start(memory=100 * MB)
    before = used(container)
    record, found = inject(
        system, ResourceMemoryPressure(target="web", fill=0.8), hold=3, during=lambda: time.sleep(1) or used(container)
    )
    assert record.error is None, record.error
    assert record.refused is None, record.refused
    assert record.effect.held, record.effect
    assert record.effect.measured == pytest.approx(record.effect.asked, abs=0.04)
    assert found[0] > 65 * MB
    assert record.gone.held, record.gone
    assert used(container) < before + 5 * MB
    assert len(programs(container)) == 1


def test_memory_of_a_given_size_without_a_limit(start):
    """50 MB are held beside a service without a limit."""
    system, container = start()
    record, _ = inject(system, ResourceMemoryPressure(target="web", size=50 * MB))
    assert record.effect.held, record.effect
    assert record.effect.measured == pytest.approx(50 * MB, rel=0.1)
    assert len(programs(container)) == 1


def test_a_container_without_a_shell(start):
    """A static program is copied in, does the same, and is gone afterwards."""
    system, container = start(NO_SHELL, memory=100 * MB)
    time.sleep(0.5)
    record, _ = inject(system, ResourceMemoryPressure(target="web", fill=0.6), hold=3)
    assert record.error is None, record.error
    assert "copied in" in record.mechanism
    assert record.effect.held, record.effect
    assert record.gone.held, record.gone
    assert len(programs(container)) == 1
    assert not any(change["Path"].startswith("/busybox") for change in container.diff())


def test_more_than_the_limit_has_room_for(start):
    """A fill that is there already is refused, with the numbers."""
    system, _ = start("held = bytearray(60_000_000); import time; time.sleep(600)", memory=100 * MB)
    time.sleep(0.5)
    record, _ = inject(system, ResourceMemoryPressure(target="web", fill=0.5))
    assert "of its memory limit already" in record.refused
    record, _ = inject(system, ResourceMemoryPressure(target="web", size=60 * MB))
    assert "do not fit" in record.refused


def test_a_pressure_that_somebody_ended(start, engine):
    """Our process killed in mid-fault: told as an error, so that no verdict rests on it."""
    system, container = start(memory=100 * MB)

    def kill():
        time.sleep(1.5)
        container.exec_run(["sh", "-c", "kill -9 $(grep -l ^tail /proc/[0-9]*/comm | cut -d/ -f3)"])

    record, _ = inject(system, ResourceMemoryPressure(target="web", fill=0.6), hold=3, during=kill)
    assert record.effect.held
    assert "ended before its time" in record.error
    assert record.gone.held


def test_cpu_hog(start):
    """Two loops leave nothing of the CPU time that the service may use; nothing of them is left."""
    system, container = start(cpus=0.1)  # so little that a busy machine has it too
    record, found = inject(
        system, ResourceCpuHog(target="web", workers=2), hold=5, during=lambda: time.sleep(0.5) or programs(container)
    )
    assert record.error is None, record.error
    assert record.effect.held, record.effect
    assert record.effect.asked == pytest.approx(0.1)
    assert 0 < record.effect.measured <= 0.2
    assert len(found[0]) > 2
    assert record.gone.held, record.gone
    assert len(programs(container)) == 1


@pytest.mark.parametrize(
    "plan", [ResourceCpuHog(target="web", workers=2), ResourceMemoryPressure(target="web", size=20 * MB)]
)
def test_it_ends_by_itself(start, plan):
    """Nobody takes it back: at its own deadline every process of it has ended."""
    system, container = start(cpus=0.5)
    fault = build_fault(plan, context_of(system))
    fault.check()
    fault.inject(time.time() + 2)
    assert len(programs(container)) > 1
    until = time.monotonic() + 10
    while len(programs(container)) > 1 and time.monotonic() < until:
        time.sleep(0.2)
    assert len(programs(container)) == 1


def test_the_undo_of_the_journal(start, engine):
    """Carried out by somebody else, twice, and at a target that is gone: it ends ours, and nothing else."""
    system, container = start()
    bystander = container.client.api.exec_create(container.id, ["sh", "-c", "sleep 77; true"])["Id"]
    container.client.api.exec_start(bystander, detach=True)
    fault = build_fault(ResourceCpuHog(target="web", workers=2), context_of(system))
    fault.check()
    undo = fault.undo()
    fault.inject(time.time() + 60)
    until = time.monotonic() + 10
    while len(programs(container)) < 5 and time.monotonic() < until:
        time.sleep(0.1)
    assert len(programs(container)) >= 5
    assert "undone" in carry_out(undo, engine)
    assert sorted(programs(container)) == sorted(["sleep 77", "sh -c sleep 77; true", f"python3 -c {WAIT}"])
    assert "undone" in carry_out(undo, engine)
    container.restart(timeout=0)
    assert "started anew" in carry_out(undo, engine)
