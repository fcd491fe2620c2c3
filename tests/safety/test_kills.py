"""Fifty runs, each killed at an instant that its number decides; `pytest -m kills -n 3 tests/safety`.

Killed are, in turn, the orchestrator, a load's worker, the watchdog, the agents, and all of them together. Whatever
remains is looked at from outside: through the engine, in the containers' network namespaces, and by a client.
"""

import random
import signal
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from shakedown.faults import FAULTS
from shakedown.guard.journal import Intent, read_journal
from shakedown.guard.undo import RulesRemove
from tests.safety.world import (
    Bystanders,
    Orchestrator,
    clean_up,
    containers,
    leftovers,
    open_faults,
    orchestrated,
    tiny_plan,
    wait_for,
)

pytestmark = pytest.mark.kills

VICTIMS = ("orchestrator", "worker", "watchdog", "agent", "all")
SINGLE: dict[str, dict[str, Any]] = {
    "service-kill": {},
    "service-stop": {"grace": "1s"},
    "service-pause": {},
    "service-restart": {"grace": "1s"},
    "service-crash-loop": {"uptime": "500ms"},
    "service-replace": {"environment": {"REPLACED": "yes"}, "grace": "1s"},
    "network-latency": {"latency": "200ms"},
    "network-partition": {},
    "network-bandwidth": {"rate": "20kB"},
    "network-reset": {},
    "network-refused": {},
    "network-blackhole": {},
    "network-half-open": {},
    "network-slow-close": {"delay": "200ms"},
    "network-connection-limit": {"connections": 1},
    "network-data-limit": {"bytes": "10kB"},
    "network-slicing": {},
    "network-loss": {"share": "20%"},
    "network-corruption": {"share": "20%"},
    "network-duplication": {"share": "20%"},
    "network-reordering": {"share": "20%"},
    "network-delay": {"latency": "100ms"},
    "resource-memory-limit": {"memory": "64MB"},
    "resource-memory-pressure": {"size": "30MB"},
    "resource-oom-kill": {},
    "resource-cpu-limit": {"cpus": 0.2},
    "resource-cpu-hog": {"workers": 1},
    "resource-pids": {"leave": 5},
    "resource-open-files": {"leave": 5},
}
KNOWN = [name for name in SINGLE if name in FAULTS]
BY_AGENT = [name for name in KNOWN if name.startswith("network")]
UNDONE_WITHIN = 60.0


def fault(name: str, target: str) -> dict[str, Any]:
    """One of these."""
    return {"type": name, "target": target, **SINGLE[name]}


def experiment(number: int, rng: random.Random) -> tuple[dict[str, Any], float]:
    """One at random, of every shape, and how long it lasts; the fifty go through all faults."""
    agent = VICTIMS[number % len(VICTIMS)] == "agent"
    hold = rng.uniform(2, 4)
    common: dict[str, Any] = {"name": "random", "recover_within": "20s"}
    one, other = rng.sample(["web", "other"], 2)
    turn = number // len(VICTIMS)
    name = BY_AGENT[turn % len(BY_AGENT)] if agent else KNOWN[(number - (number + 1) // len(VICTIMS)) % len(KNOWN)]
    first, second = fault(name, one), fault(rng.choice(KNOWN), other)
    shape = rng.choice(["single", "single", "together", "sequence", "repeat", "nemesis"])
    if shape == "together":
        return {**common, "faults": [first, second], "hold": hold}, hold
    if shape == "sequence":
        steps = [{"fault": first, "hold": hold / 2, "pause": 0.3}, {"fault": second, "hold": hold / 2}]
        return {**common, "sequence": steps}, hold + 0.3
    if shape == "repeat":
        return {**common, "fault": first, "hold": hold / 2, "repeat": {"times": 2, "pause": 0.5}}, hold + 0.5
    if shape == "nemesis":
        faults = [{"fault": first, "weight": 2}, {"fault": second}] if not agent else [{"fault": first}]
        nemesis = {"faults": faults, "duration": hold + 2, "hold": [0.5, 2], "quiet": [0.2, 0.5]}
        return {**common, "nemesis": nemesis}, hold + 2
    return {**common, "fault": first, "hold": hold}, hold


def kill(victim: str, run: Orchestrator, engine: Any, rng: random.Random) -> None:
    """Kill -9, in an order of chance where there are several."""
    family = run.family()
    agents = [
        agent
        for one in containers(engine, run.run, agent="")
        if one.attrs["State"]["Running"] and (agent := _process(one.attrs["State"]["Pid"])) is not None
    ]
    everyone = {
        "orchestrator": family[:1], "worker": family[1:2], "watchdog": [run.watchdog()], "agent": agents,
    }  # fmt: skip
    chosen = [one for group in everyone.values() for one in group] if victim == "all" else everyone[victim]
    rng.shuffle(chosen)
    for process in chosen:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue


def _process(pid: int) -> psutil.Process | None:
    """None when it ended since it was listed."""
    try:
        return psutil.Process(pid)
    except psutil.NoSuchProcess:
        return None


def active(engine: Any, run: Orchestrator) -> list[str]:
    """Faults that are in effect: containers that do not run, packets that do not pass, rules that could still match."""
    found = []
    for one in containers(engine, run.run):
        if "shakedown.agent" in one.labels:
            continue
        if one.status != "running":
            found.append(f"{one.name} is {one.status}")
            continue
        peer = "other" if one.labels["shakedown.service"] == "web" else "web"
        for address in (peer, "localhost"):
            code = f"import urllib.request as u; print(u.urlopen('http://{address}:8000/', timeout=2).status)"
            begun = time.monotonic()
            done, output = one.exec_run(["python3", "-c", code])
            if done:
                found.append(f"{one.name} does not reach {address}: {output.decode()[-80:]}")
            elif time.monotonic() - begun > 2:
                found.append(f"{one.name} reaches {address} late")
    return found


@pytest.mark.timeout(280)
@pytest.mark.parametrize("number", range(50))
def test_killed(number, engine, python_image, bystanders: Bystanders, tmp_path: Path, record_property):
    """Killed at a seeded instant: no fault after its time to live, nothing of ours after `cleanup`, nobody else touched."""
    rng = random.Random(f"kill {number}")
    victim = VICTIMS[number % len(VICTIMS)]
    what, longest = experiment(number, rng)
    record_property("killed", victim)
    record_property("faults", " ".join(sorted(set(_types(what)))))
    plan = tiny_plan(tmp_path, python_image, [what])
    root = tmp_path / "results"
    before = bystanders.look()
    with orchestrated(plan, root, number) as run:
        run.until("begin")
        if victim == "agent":
            assert wait_for(lambda: containers(engine, run.run, agent=""), 30)
        elif rng.random() < 0.8:  # the others may die before anything was injected
            assert wait_for(lambda: open_faults(run.folder), 40)
        instant = rng.uniform(0, longest + 1)
        time.sleep(instant)
        family, watchdog = run.family(), run.watchdog()
        open_then = open_faults(run.folder)
        record_property("open", len(open_then))
        kill(victim, run, engine, rng)
        if victim == "all":
            _after_all(engine, run)
        elif victim == "orchestrator":
            run.process.wait(10)
            assert wait_for(lambda: not leftovers(engine, run.run, run.folder), UNDONE_WITHIN), leftovers(
                engine, run.run, run.folder
            )
        else:
            over = run.until("over", 150)
            run.process.wait(60)
            assert over["problems"] == [], over
            assert leftovers(engine, run.run, run.folder) == []
            lost = victim == "worker" or (victim == "agent" and any(_by_agent(intent) for intent in open_then))
            assert not (lost and over["verdict"] == "passed"), over
        cleaned = clean_up(root, run.run)
        assert cleaned.returncode == 0, cleaned.stdout + cleaned.stderr
        if victim != "all":
            assert "nothing was left behind" in cleaned.stdout, cleaned.stdout
        assert leftovers(engine, run.run, run.folder) == []
        assert wait_for(lambda: not [one for one in (*family, watchdog) if _lives(one)], 20), family
    assert bystanders.look() == before


TRANSITIONS = ("intended", "injected", "proved", "reverted", "struck")


@pytest.mark.timeout(280)
@pytest.mark.parametrize("transition", TRANSITIONS)
@pytest.mark.parametrize("name", ["service-pause", "network-partition"])
def test_killed_at_a_transition(name, transition, engine, python_image, bystanders: Bystanders, tmp_path: Path):
    """SIGKILL right after each step of a fault's life: everything is taken back, and nothing else touched."""
    what = {"name": "e", "fault": fault(name, "web"), "hold": "3s", "recover_within": "20s"}
    plan = tiny_plan(tmp_path, python_image, [what])
    before = bystanders.look()
    with orchestrated(plan, tmp_path / "results", die_at=transition) as run:
        run.until("begin")
        assert run.process.wait(150) == -signal.SIGKILL  # the agent's image may have to be built first
        assert wait_for(lambda: not leftovers(engine, run.run, run.folder), UNDONE_WITHIN), leftovers(
            engine, run.run, run.folder
        )
        assert "nothing was left behind" in clean_up(tmp_path / "results", run.run).stdout
    assert bystanders.look() == before


def _after_all(engine: Any, run: Orchestrator) -> None:
    """Nobody is there to undo anything: what the kernel or the agent guards ends by itself, the rest waits for `cleanup`."""
    run.process.wait(10)
    intents = open_faults(run.folder)
    deadline = max((intent.deadline or 0.0 for intent in intents), default=0.0)
    time.sleep(max(deadline + 2 - time.time(), 0.5))
    if all(_by_agent(intent) for intent in intents):
        assert wait_for(lambda: not active(engine, run), 10), active(engine, run)
    assert read_journal(run.folder / "journal.jsonl").intents, "killed before anything was done"


def _by_agent(intent: Intent) -> bool:
    return isinstance(intent.undo, RulesRemove)


def _types(part: Any) -> list[str]:
    if isinstance(part, dict):
        own = [part["type"]] if "type" in part else []
        return own + [name for value in part.values() for name in _types(value)]
    return [name for value in part for name in _types(value)] if isinstance(part, list) else []


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_every_family_is_killed():
    """The runs' experiments are of every shape and of every fault that they may be of."""
    chosen = [experiment(number, random.Random(f"kill {number}"))[0] for number in range(50)]
    assert {name for one in chosen for name in _types(one)} == set(KNOWN)
    assert {key for one in chosen for key in one} >= {"fault", "faults", "sequence", "repeat", "nemesis"}
