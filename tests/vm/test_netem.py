"""The agent's own files under a kernel that has netem: Debian's, in an emulator, with what a client there measured."""

import sys
from pathlib import Path

import pytest

from shakedown.faults.agents import agent_image
from shakedown.guard.undo.rules import REMOVE_RULES
from tests.integration.faults.packet_views import _DATAGRAMS, _SERVER
from tests.vm.machine import UnavailableError, boot, fetch, pack

pytestmark = [pytest.mark.vm, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def found(engine, tmp_path_factory) -> dict:
    """Everything that was tried, in one life of the machine."""
    place = tmp_path_factory.mktemp("vm")
    try:
        kernel, root = fetch(place)
    except UnavailableError as why:
        pytest.skip(str(why))
    programs = {
        "inside.py": Path(__file__).with_name("inside.py").read_text(),
        "datagrams.py": _DATAGRAMS, "echo.py": _SERVER, "remove_rules.sh": REMOVE_RULES,
    }  # fmt: skip
    box = engine.containers.create(agent_image(engine))
    try:
        memory = place / "memory"
        memory.write_bytes(pack(iter(box.export()), root, programs))
    finally:
        box.remove()
    results, said = boot(kernel, memory, limit=600)
    sys.stdout.write(said[-20_000:])
    assert "broken" not in results, results["broken"]
    assert "ended" in results, f"the machine stopped after {list(results)[-1:]}: {said[-2000:]}"
    return results


def out(found: dict, name: str) -> dict:
    return found[name]["stats"]["out"]


def test_the_kernel_has_what_ours_has_not(found):
    """The agent finds netem, queues, `statistic` and the time match by trying, and leaves nothing behind."""
    assert found["hello"]["abilities"] == {
        "iptables": "iptables-nft", "time": True, "statistic": True, "queue": True, "netem": True,
    }  # fmt: skip
    assert found["hello"]["qdisc"].startswith("qdisc noqueue 0: root")


def test_delay(found):
    """200 ms asked: datagrams and the proof's own echo take 200 ms longer; none is lost, and then it is over."""
    before = found["before"]["seen"]["median"]
    seen = found["delay"]["seen"]
    assert 0.2 <= seen["median"] - before < 0.3
    assert seen["distinct"] == seen["sent"]
    echoes = sorted(found["delay"]["echo"])
    assert 0.2 <= echoes[len(echoes) // 2] < 0.3
    assert out(found, "delay")["netem"]["packets"] >= seen["sent"]
    assert found["delay"]["restored"]
    assert found["after"]["seen"]["median"] < 0.1


def test_jitter(found):
    """100 ± 50 ms: the middle is 100 ms, and packets overtake each other."""
    assert 0.08 < found["jitter"]["seen"]["median"] < 0.15
    assert found["jitter"]["seen"]["late"] > 0


def test_only_chosen_packets_are_delayed(found):
    """A fault of another peer's packets: the discipline is there, no packet goes through it, none is late."""
    assert "netem" in found["elsewhere"]["during"]
    assert out(found, "elsewhere")["hit"] == out(found, "elsewhere")["netem"]["packets"] == 0
    assert found["elsewhere"]["seen"]["median"] < 0.1


@pytest.mark.parametrize("name", ["corruption", "duplication", "reordering"])
def test_shares(found, name):
    """A fifth asked: so many were chosen, netem treated each of them, and the client saw what it must."""
    figures, seen = out(found, name), found[name]["seen"]
    assert figures["means"] == "netem"
    assert figures["netem"]["packets"] == figures["hit"] * (2 if name == "duplication" else 1)
    hit = figures["hit"] / figures["seen"]
    assert hit == pytest.approx(0.2, abs=0.1)
    if name == "corruption":
        assert 1 - seen["distinct"] / seen["sent"] == pytest.approx(hit, abs=0.02)
        assert seen["bad"] == 0
    elif name == "duplication":
        assert seen["total"] / seen["sent"] == pytest.approx(1 + hit, abs=0.02)
        assert seen["distinct"] == seen["sent"]
    else:
        assert seen["late"] / seen["sent"] == pytest.approx(hit, abs=0.05)
        assert seen["distinct"] == seen["sent"]
    assert found[name]["restored"]


def test_loss(found):
    """A fifth lost either way: four in five of four in five come back, and the sender was told nothing."""
    seen = found["loss"]["seen"]
    assert 1 - seen["distinct"] / seen["sent"] == pytest.approx(0.36, abs=0.1)
    assert seen["refused"] == 0
    assert found["loss"]["restored"]


def test_the_queue_works_there_as_well(found):
    """The other mechanism on the same kernel gives the same delay."""
    assert 0.2 <= found["queue"]["seen"]["median"] < 0.3
    assert found["queue"]["restored"]


def test_two_at_once(found):
    """The second fault finds the root taken by the first and uses a queue: both take effect."""
    first, second = (stats["out"] for stats in found["together"]["stats"])
    assert (first["means"], second["means"]) == ("netem", "queue")
    seen = found["together"]["seen"]
    assert seen["median"] > 0.1
    assert second["hit"] / second["seen"] == pytest.approx(0.2, abs=0.1)
    assert 1 - seen["distinct"] / seen["sent"] == pytest.approx(second["hit"] / second["seen"], abs=0.02)


def test_a_foreign_discipline_is_let_alone(found):
    """Somebody else's root: the fault uses a queue, and neither it, its revert nor the undo touch what is there."""
    assert found["foreign"]["ground"] == {"eth0": "prio"}
    assert found["foreign"]["same"]
    assert found["foreign"]["stats"]["out"]["means"] == "queue"
    assert found["foreign"]["seen"]["median"] > 0.1


def test_the_kernel_keeps_the_deadline_of_netem_too(found):
    """The agent killed: packets are late until the deadline and not after it; the undo then removes rules and discipline."""
    assert found["killed"]["killed"]["median"] > 0.3
    assert found["killed"]["late"]["median"] < 0.1
    assert "netem" in found["killed"]["left"]
    assert found["killed"]["restored"]


def test_an_agent_that_ends_takes_its_discipline_with_it(found):
    """Whoever gives the orders dies: rules and discipline are gone with the agent."""
    assert found["ended"]["restored"]
