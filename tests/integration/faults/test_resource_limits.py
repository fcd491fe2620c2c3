"""Limits lowered: felt by the service, set to what they were before."""

import pytest

from shakedown.plan.faults.resource import ResourceCpuLimit, ResourceMemoryLimit, ResourcePids
from tests.integration.faults.harness import inject

pytestmark = pytest.mark.integration

MB = 1_000_000
# Three programs for Python: they hold 40 MB, burn CPU, and start a process every tenth of a second.
HOLDS = "import time; held = bytearray(40_000_000); time.sleep(600)"
BURNS = "while True: pass"
FORKS = """
import subprocess, time
made = []
while True:  # one more each time: whenever a limit is counted, the next one is beyond it
    try:
        made.append(subprocess.Popen(["sleep", "600"]))
    except OSError:
        pass
    if len(made) == 40:
        while made:
            made[-1].kill()
            made.pop().wait()
    else:
        time.sleep(0.1)
"""
IDLE = "import time; time.sleep(600)"


@pytest.fixture
def start(make_system, python_image, engine):
    """Start one service that runs a program; the system, and a way to look at its container's limits."""

    def start(program: str, **limits):
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
        container = engine.containers.get(system.handle("web").container)

        def look(name: str) -> str:
            code, out = container.exec_run(["cat", f"/sys/fs/cgroup/{name}"])
            assert code == 0, out
            return out.decode().strip()

        return system, look

    return start


@pytest.mark.parametrize("own", [None, 200 * MB])
def test_memory_limit(start, own):
    """48 MB are asked and read from the cgroup meanwhile; afterwards it says to the byte what it said before."""
    system, look = start(HOLDS, **({"memory": own} if own else {}))
    before = [look(f"memory/memory.{name}limit_in_bytes") for name in ("", "memsw.")]
    record, found = inject(
        system, ResourceMemoryLimit(target="web", memory=48 * MB), during=lambda: look("memory/memory.limit_in_bytes")
    )
    assert record.error is None, record.error
    assert record.refused is None, record.refused
    assert int(found[0]) == pytest.approx(48 * MB, abs=4096)
    assert record.effect.held, record.effect
    assert record.effect.measured == pytest.approx(record.effect.asked, abs=4096)
    assert record.gone.held, record.gone
    assert [look(f"memory/memory.{name}limit_in_bytes") for name in ("", "memsw.")] == before


def test_memory_limit_that_nobody_feels(start):
    """A limit far above what is in use changes nothing: not held."""
    system, _ = start(IDLE)
    record, _ = inject(system, ResourceMemoryLimit(target="web", memory=500 * MB), hold=1)
    assert not record.effect.held
    assert "does not feel it" in record.effect.evidence
    assert record.gone.held


def test_memory_limit_below_what_is_held(start):
    """Under cgroup v1 nobody can lower a limit below what is in use: refused with the reason, and nothing was touched."""
    system, look = start(HOLDS)
    before = look("memory/memory.limit_in_bytes")
    record, _ = inject(system, ResourceMemoryLimit(target="web", memory=20 * MB))
    assert "cgroup v1 refuses" in record.refused
    assert record.applied_at is None
    assert look("memory/memory.limit_in_bytes") == before


@pytest.mark.parametrize("own", [None, 1.0])
def test_cpu_limit(start, own):
    """0.2 CPUs are asked; the kernel throttles the service meanwhile, and has no such limit afterwards."""
    system, look = start(BURNS, **({"cpus": own} if own else {}))
    before = look("cpu/cpu.cfs_quota_us")
    record, found = inject(
        system, ResourceCpuLimit(target="web", cpus=0.2), during=lambda: look("cpu/cpu.cfs_quota_us")
    )
    assert record.error is None, record.error
    assert found == ["20000"]
    assert record.effect.held, record.effect
    assert record.effect.measured <= 0.26
    assert record.gone.held, record.gone
    assert look("cpu/cpu.cfs_quota_us") == before


def test_cpu_limit_that_nobody_feels(start):
    """A service that does nothing is never throttled: not held."""
    system, _ = start(IDLE)
    record, _ = inject(system, ResourceCpuLimit(target="web", cpus=0.5), hold=1)
    assert not record.effect.held
    assert record.gone.held


@pytest.mark.parametrize("own", [None, 50])
def test_pids(start, own):
    """No process can be started meanwhile: the kernel counts what it refused; afterwards the limit is as before."""
    system, look = start(FORKS, **({"pids": own} if own else {}))
    before = look("pids/pids.max")
    refused = look("pids/pids.events")
    record, _ = inject(system, ResourcePids(target="web"))
    assert record.error is None, record.error
    assert record.effect.held, record.effect
    assert record.gone.held, record.gone
    assert look("pids/pids.max") == before
    assert int(look("pids/pids.events").split()[1]) > int(refused.split()[1])


def test_a_service_that_the_lower_limit_kills(start, engine):
    """It grows beyond the limit and the kernel kills it: that is the effect, and the limit is set back all the same."""
    system, _ = start("import time; time.sleep(1.5); held = bytearray(60_000_000); time.sleep(600)", memory=200 * MB)
    record, _ = inject(system, ResourceMemoryLimit(target="web", memory=40 * MB), hold=4)
    assert record.error is None, record.error
    assert record.effect.held, record.effect
    assert "killed it" in record.effect.evidence or "exited" in record.gone.evidence, record  # met first, killed then
    assert record.gone.held, record.gone
    assert engine.containers.get(system.handle("web").container).attrs["HostConfig"]["Memory"] == 200 * MB


def test_a_target_restarted_under_a_lower_limit(start, engine):
    """The limit outlives the restart, and is set back after it."""
    system, look = start(HOLDS)
    before = look("memory/memory.limit_in_bytes")
    container = engine.containers.get(system.handle("web").container)
    record, _ = inject(
        system, ResourceMemoryLimit(target="web", memory=48 * MB), hold=4, during=lambda: container.restart(timeout=0)
    )
    assert record.error is None, record.error
    assert record.gone.held, record.gone
    assert look("memory/memory.limit_in_bytes") == before


def test_three_ways_to_look(start, engine):
    """The kernel's files from outside, from inside, and the engine's statistics tell the same limits."""
    from shakedown.faults.resource import cgroup

    system, _ = start(IDLE, memory=100 * MB, cpus=0.5, pids=40)
    container = engine.containers.get(system.handle("web").container)
    outside = cgroup.read_cgroup(container)
    inside = cgroup.parse_cgroup(cgroup._from_inside(container))
    told = cgroup._from_engine(container)
    assert outside.source == "cgroup"
    assert outside.limits == inside.limits == told.limits
    assert outside.limits[1:] == (0.5, 40)
    assert outside.pids == told.pids == 1
