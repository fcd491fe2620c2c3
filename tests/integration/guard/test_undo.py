"""Undo operations against the real engine: twice at once, too late, without their image, and never on what is not ours."""

import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from shakedown.errors import GuardError
from shakedown.guard import carry_out
from shakedown.guard.identity import born
from shakedown.guard.labels import RUN
from shakedown.guard.undo import (
    ContainerRemove,
    ContainerStart,
    ContainerUnpause,
    NetworkRemove,
    ProcessKill,
    RulesRemove,
    Undo,
    VolumeRemove,
)

pytestmark = pytest.mark.integration
BASE = "debian:bookworm-slim"


@pytest.fixture
def box(engine, run_name):
    """A container of ours."""
    container = engine.containers.run(
        BASE, ["sleep", "300"], name=f"shakedown-{run_name}-box", detach=True, labels={RUN: run_name}
    )
    yield container
    carry_out(ContainerRemove(container=container.id), engine)


@pytest.fixture
def stranger(engine) -> Iterator[Callable[[str], None]]:
    """Makes things that are not ours."""
    gone: list[Callable[[], object]] = []

    def make(kind: str, name: str) -> None:
        if kind == "container":
            container = engine.containers.run(BASE, ["sleep", "300"], name=name, detach=True)
            gone.append(lambda: container.remove(force=True))
        elif kind == "network":
            network = engine.networks.create(name)
            gone.append(network.remove)
        else:
            volume = engine.volumes.create(name)
            gone.append(volume.remove)

    yield make
    for remove in gone:
        remove()


def at_once(undo: Undo, client: object, times: int = 4) -> list[str | Exception]:
    """Carry it out several times at the same moment, as watchdog and run may."""
    barrier = threading.Barrier(times)
    outcomes: list[str | Exception] = []

    def go() -> None:
        barrier.wait()
        try:
            outcomes.append(carry_out(undo, client))
        except GuardError as error:
            outcomes.append(error)

    threads = [threading.Thread(target=go) for _ in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def test_unpause_and_start_at_once(engine, box):
    """Four at the same moment: none fails, and the container runs."""
    for _ in range(3):
        box.pause()
        outcomes = at_once(ContainerUnpause(container=box.id), engine)
        assert not [outcome for outcome in outcomes if isinstance(outcome, Exception)], outcomes
        box.reload()
        assert box.status == "running"
    box.kill()
    outcomes = at_once(ContainerStart(container=box.id), engine)
    assert not [outcome for outcome in outcomes if isinstance(outcome, Exception)], outcomes
    box.reload()
    assert box.status == "running"


def test_remove_at_once(engine, run_name):
    """Containers, their network and a volume removed by four at once: none fails, all is gone when all have returned."""
    name = f"shakedown-{run_name}"
    for _ in range(3):
        engine.networks.create(name, labels={RUN: run_name})
        engine.volumes.create(name, labels={RUN: run_name})
        for number in range(3):
            engine.containers.run(
                BASE, ["sleep", "300"], name=f"{name}-{number}", network=name, detach=True, labels={RUN: run_name}
            )
        results: list[str | Exception] = []

        def go(undo: Undo, results: list[str | Exception] = results) -> None:
            results.extend(at_once(undo, engine, 2))

        undos: list[Undo] = [ContainerRemove(container=f"{name}-{number}") for number in range(3)]
        together = [threading.Thread(target=go, args=(undo,)) for undo in (*undos, NetworkRemove(network=name))]
        for thread in together:
            thread.start()
        for thread in together:
            thread.join()
        results += at_once(VolumeRemove(volume=name), engine)
        assert not [outcome for outcome in results if isinstance(outcome, Exception)], results
        assert engine.networks.list(names=[name]) == []


def test_what_is_not_ours_stays(engine, stranger):
    """An undo that names a container, network or volume without our label refuses, and it stays."""
    name = f"stranger-{uuid.uuid4().hex[:8]}"
    for kind in ("container", "network", "volume"):
        stranger(kind, name)
    for undo in (ContainerRemove(container=name), NetworkRemove(network=name), VolumeRemove(volume=name)):
        assert "not ours" in carry_out(undo, engine)
    assert engine.containers.get(name).status == "running"
    assert engine.networks.list(names=[name])
    assert engine.volumes.get(name)


# ------------------------------------------------------------------------------------------------------------- rules
RULES = """
iptables-legacy -t {table} -A OUTPUT -p tcp --dport {port} -m comment --comment '{comment}' -j {target}
"""
TAG = "shakedown:0123456789ab"


def iptables(engine, image: str, box, script: str) -> str:
    """Run a script with iptables in a container's namespace."""
    output = engine.containers.run(
        image, entrypoint=["sh", "-ec", script], network_mode=f"container:{box.id}", cap_add=["NET_ADMIN", "NET_RAW"],
        remove=True,
    )  # fmt: skip
    return output.decode()


def saved(engine, image: str, box) -> list[str]:
    """Every rule, without counters."""
    text = iptables(engine, image, box, "for t in raw mangle nat filter; do iptables-legacy-save -t $t; done")
    return [line for line in text.splitlines() if line.startswith("-A")]


def test_only_the_tagged_rules_go(engine, box, python_image):
    """Rules with exactly our comment go from every table; others, also ones that quote the tag, stay byte for byte."""
    foreign = [
        RULES.format(table="filter", port=81, comment=f"not {TAG}", target="DROP"),
        RULES.format(table="nat", port=82, comment=f"{TAG}f", target="ACCEPT"),
        RULES.format(table="mangle", port=83, comment="somebody's".replace("'", ""), target="ACCEPT"),
    ]
    iptables(engine, python_image, box, "\n".join(foreign))
    before = saved(engine, python_image, box)
    assert len(before) == 3
    ours = [
        RULES.format(table=table, port=port, comment=TAG, target="ACCEPT")
        for table in ("raw", "mangle", "nat", "filter")
        for port in (91, 92, 92)  # twice the same
    ]
    iptables(engine, python_image, box, "\n".join(ours))
    assert len(saved(engine, python_image, box)) == 15
    outcomes = at_once(RulesRemove(container=box.id, tag=TAG, image=python_image), engine, 2)
    assert not [outcome for outcome in outcomes if isinstance(outcome, Exception)], outcomes
    assert saved(engine, python_image, box) == before


def test_rules_of_a_frozen_container_go(engine, box, python_image):
    """A paused target keeps its namespace: its rules are removed all the same."""
    iptables(engine, python_image, box, RULES.format(table="filter", port=91, comment=TAG, target="DROP"))
    box.pause()
    try:
        assert "removed" in carry_out(RulesRemove(container=box.id, tag=TAG, image=python_image), engine)
        assert saved(engine, python_image, box) == []
    finally:
        box.unpause()


def test_rules_without_the_image_are_not_called_gone(engine, box):
    """The helper's image is missing: an error that names it, never 'the target is gone'."""
    with pytest.raises(GuardError, match="shakedown-no-such-image:1"):
        carry_out(RulesRemove(container=box.id, tag=TAG, image="shakedown-no-such-image:1"), engine)


def test_rules_that_nobody_could_look_at_are_not_called_removed(engine, box):
    """An image without iptables proves nothing."""
    with pytest.raises(GuardError, match="could not be looked at"):
        carry_out(RulesRemove(container=box.id, tag=TAG, image=BASE), engine)


def test_rules_of_a_stopped_container_are_gone_with_it(engine, box, python_image):
    """No namespace, no rules: said, and no error."""
    box.kill()
    assert "gone with it" in carry_out(RulesRemove(container=box.id, tag=TAG, image=python_image), engine)


# --------------------------------------------------------------------------------------------------------- processes
def tree(script: str, **environment: str) -> subprocess.Popen:
    return subprocess.Popen(
        ["sh", "-c", script],
        start_new_session=True,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        text=True,
    )


def gone(pid: int, seconds: float = 10) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.05)
    return False


def test_a_process_that_ignores_sigterm_ends_with_its_children():
    """SIGTERM first, SIGKILL after the grace, for the whole tree."""
    with tree("trap '' TERM; sleep 300 & echo $!; wait; sleep 300") as process:
        child = int(process.stdout.readline())
        undo = ProcessKill(pid=process.pid, created=born(process.pid))
        assert "ended with" in carry_out(undo, None)
        assert gone(child)
        assert gone(process.pid)


def test_orphans_of_a_dead_process_end_too():
    """The first process is gone, its child lives on: what carries the mark is ended, and a bystander is not."""
    mark = uuid.uuid4().hex
    with tree("sleep 300 & echo $!", SHAKEDOWN_PROCESS=mark) as process, tree("echo; exec sleep 300") as bystander:
        orphan = int(process.stdout.readline())
        created = born(process.pid)
        process.wait()
        assert not gone(orphan, 0.2)
        assert "1 left behind" in carry_out(ProcessKill(pid=process.pid, created=created, mark=mark), None)
        assert gone(orphan)
        assert bystander.poll() is None
        bystander.kill()


def test_a_reused_number_is_left_alone_with_its_children():
    """Another process under the number, and what it started, are not touched."""
    with tree("sleep 300 & echo $!; wait") as process:
        child = int(process.stdout.readline())
        undo = ProcessKill(pid=process.pid, created=born(process.pid) - 60, mark=uuid.uuid4().hex)
        assert "another one" in carry_out(undo, None)
        assert process.poll() is None
        assert psutil.pid_exists(child)
        for member in (*psutil.Process(process.pid).children(), psutil.Process(process.pid)):
            member.kill()


def test_no_engine_is_said(tmp_path: Path):
    """Without an engine a container's undo fails with a reason; a process's needs none."""
    with pytest.raises(GuardError, match="needs a Docker engine"):
        carry_out(ContainerRemove(container="x"), None)
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        created = born(ended.pid)
        ended.wait()
    assert "gone" in carry_out(ProcessKill(pid=ended.pid, created=created), None)
