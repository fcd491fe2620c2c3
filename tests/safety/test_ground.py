"""The ground gives way under a fault: a clear state each time, nothing left, never a pass."""

import os
import shlex
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from shakedown.errors import EngineError
from shakedown.faults import FaultContext, agents, build_fault, run_fault
from shakedown.guard import find_engine
from shakedown.plan.faults import FaultModel
from shakedown.plan.faults.network import NetworkLatency, NetworkPartition
from shakedown.plan.faults.service import ServicePause
from shakedown.records.experiment import Injection
from shakedown.services import System
from tests.integration.faults.harness import context_of
from tests.safety.world import leftovers, open_faults, orchestrated, tiny_plan, wait_for

pytestmark = [pytest.mark.safety, pytest.mark.integration]

ENGINE_RESTART = os.environ.get(
    "SHAKEDOWN_TEST_ENGINE_RESTART", ""
)  # a command; read before the environment is cleared
LATENCY = NetworkLatency(target="web", latency=0.2)
PARTITION = NetworkPartition(target="web", peers=["other"])
MEET = ["python3", "-c", "import urllib.request as u; print(u.urlopen('http://other:8000/', timeout=1).status)"]


def live(system: System, plan: FaultModel, hold: float = 3.0, during: Any = None) -> Injection:
    """A fault's life; `during` is called once it is injected."""
    context: FaultContext = context_of(system)
    fault = build_fault(plan, context)
    record = Injection(plan.type, plan.where, fault.parameters, fault.mechanism, fault.layers)
    threads: list[threading.Thread] = []

    def on_event(event: Any) -> None:
        if event.kind == "fault.injected" and during is not None:
            threads.append(threading.Thread(target=during, args=(fault,)))
            threads[-1].start()

    run_fault(fault, record, hold, context, subject="e", on_event=on_event, save=lambda: None)
    for thread in threads:
        thread.join(20)
    fault.close()
    context.agents.close()
    return record


def open_intents(system: System) -> list[str]:
    return [intent.what for intent in system.journal.open_intents() if intent.kind in ("fault", "agent")]


def test_an_agents_image_that_cannot_be_had(pair, tmp_path, monkeypatch):
    """No image and no way to build it: an error in a sentence, nothing injected, nothing left."""
    (tmp_path / "Dockerfile").write_text("FROM shakedown-no-such-image:1\n")
    monkeypatch.setattr(agents, "AGENT", tmp_path)
    record = live(pair, LATENCY)
    assert "the fault agent's image cannot be built" in (record.refused or record.error)
    assert "Traceback" not in (record.refused or record.error)
    assert record.asked_at is None
    assert open_intents(pair) == []


def broken_image(engine: Any, base: str, folder: Path, script: str) -> str:
    """The agent's image with something else in the place of iptables."""
    (folder / "Dockerfile").write_text(
        f"FROM {base}\nCOPY iptables /broken\n"
        "RUN chmod +x /broken && for t in nft legacy; do mv /usr/sbin/iptables-$t /usr/sbin/real-$t; "
        "printf '#!/bin/sh\\nexec /broken %s \"$@\"\\n' $t > /usr/sbin/iptables-$t; chmod +x /usr/sbin/iptables-$t; done\n"
    )
    (folder / "iptables").write_text(script)
    image, _ = engine.images.build(path=str(folder), tag=f"shakedown-test-broken:{folder.name.lower()[:40]}", rm=True)
    return str(image.tags[0])


NO_IPTABLES = "#!/bin/sh\necho 'iptables: Failed to initialize nft: Protocol not supported' >&2\nexit 3\n"
NO_TIME = """#!/bin/sh
flavour=$1; shift
for word in "$@"; do
  [ "$word" = time ] && { echo 'iptables: No chain/target/match by that name.' >&2; exit 1; }
done
exec /usr/sbin/xtables-$flavour-multi iptables "$@"
"""


@pytest.fixture
def broken(engine, python_image, tmp_path, monkeypatch):
    """Makes agents whose iptables is a script."""
    made: list[str] = []

    def make(script: str) -> None:
        folder = tmp_path / f"image{len(made)}"
        folder.mkdir()
        made.append(broken_image(engine, python_image, folder, script))
        monkeypatch.setattr(agents, "agent_image", lambda _: made[-1])

    yield make
    for image in made:
        engine.images.remove(image, force=True)


def test_a_kernel_without_iptables(pair, broken):
    """No iptables works: said in a sentence, nothing injected or nothing left of it; the services still meet."""
    broken(NO_IPTABLES)
    record = live(pair, PARTITION)
    assert "iptables" in (record.refused or record.error)
    assert record.effect is None or not record.effect.held
    assert pair.runner("web").run_inside(MEET)[0] == 0
    assert open_intents(pair) == []


def test_a_kernel_without_the_time_match(pair, broken):
    """Without `-m time` the fault works, and does not claim the kernel's deadline among its guards."""
    broken(NO_TIME)
    record = live(pair, PARTITION, during=lambda _: pair.runner("web").run_inside(MEET))
    assert record.error is None, record.error
    assert record.effect.held, record.effect
    assert not [layer for layer in record.layers if "kernel" in layer]
    assert record.gone.held
    assert pair.runner("web").run_inside(MEET)[0] == 0


@pytest.mark.parametrize("plan", [LATENCY, PARTITION], ids=["latency", "partition"])
def test_a_target_that_is_restarted(pair, engine, plan):
    """Restarted in mid-fault, its namespace is another one: the fault is gone, and that is an error."""

    def restart(_: object) -> None:
        time.sleep(0.7)
        engine.containers.get(pair.handle("web").container).restart(timeout=0)

    record = live(pair, plan, hold=4.0, during=restart)
    assert record.error is not None
    assert wait_for(lambda: pair.check_health("web").healthy, 20)
    assert pair.runner("web").run_inside(MEET)[0] == 0
    assert open_intents(pair) == []


@pytest.mark.parametrize("plan", [LATENCY, PARTITION], ids=["latency", "partition"])
def test_an_agent_that_is_killed(pair, engine, plan):
    """Killed in mid-fault: an error; its rules are removed from outside, and proved gone."""

    def kill(fault: Any) -> None:
        time.sleep(0.7)
        engine.containers.get(fault.agent._name).kill()

    record = live(pair, plan, during=kill)
    assert "does not answer" in record.error or "died" in record.error
    assert record.gone.held, record.gone
    assert pair.runner("web").run_inside(MEET)[0] == 0
    assert open_intents(pair) == []


def test_a_target_that_is_made_anew(pair, engine, python_image):
    """Removed in mid-fault, and another container under its name: an error, and the new one is left alone."""
    old = engine.containers.get(pair.handle("web").container)
    name, made = old.name, []

    def replace(_: object) -> None:
        old.remove(force=True)
        made.append(engine.containers.run(python_image, ["600"], entrypoint=["sleep"], name=name, detach=True))
        made[0].pause()

    try:
        record = live(pair, ServicePause(target="web"), during=replace)
        assert record.error is not None
        made[0].reload()
        assert made[0].status == "paused", "a container that is not ours was thawed"
    finally:
        for container in made:
            container.remove(force=True)


@pytest.mark.timeout(280)
@pytest.mark.skipif(not ENGINE_RESTART, reason="SHAKEDOWN_TEST_ENGINE_RESTART has no command that restarts the engine")
def test_the_engine_is_restarted(engine, python_image, tmp_path):
    """The engine restarted in mid-fault: the run ends in a clear state that is no pass, and nothing of it stays."""
    pause = {"type": "service-pause", "target": "other"}
    plan = tiny_plan(tmp_path, python_image, [{"name": "e", "fault": pause, "hold": "20s", "recover_within": "5s"}])
    with orchestrated(plan, tmp_path / "results") as run:
        run.until("begin")
        assert wait_for(lambda: open_faults(run.folder), 60)
        subprocess.run(shlex.split(ENGINE_RESTART), check=True, timeout=120)
        over = run.until("over", 200)
        assert over["verdict"] in ("failed", "error", "inconclusive"), over

        def answers() -> bool:
            try:
                return bool(find_engine(timeout=5).ping())
            except EngineError:
                return False

        assert wait_for(answers, 60)
        assert wait_for(lambda: not leftovers(engine, run.run, run.folder), 60), leftovers(engine, run.run, run.folder)
