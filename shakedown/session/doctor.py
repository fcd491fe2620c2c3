"""What this machine can and cannot do, found by trying."""

import json
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shakedown.errors import EngineError, FaultError, StoreError
from shakedown.guard import find_engine
from shakedown.guard.labels import RUN
from shakedown.results import Store
from shakedown.results.database import VARIABLE

if TYPE_CHECKING:
    from docker import DockerClient

__all__ = ["MachineFinding", "examine_machine"]

FREE_SPACE = 2e9
# The agent's own trials, in its own image: what it says here is what it will find beside a target.
_PROBE = """
import json, os, sys
sys.path.insert(0, "/agent")
import packets, rules
tool = rules.find_tool()
redirect = ["-p", "tcp", "--dport", "9", "-j", "REDIRECT", "--to-ports", "10"]
print(json.dumps({
    "tool": tool or "",
    "redirect": tool is not None and rules.run(tool, "-w", "-t", "nat", "-A", "PREROUTING", *redirect)[0] == 0,
    "time": rules.supports(tool, "-m", "time", "--datestop", "2037-01-01T00:00:00"),
    **packets.abilities(tool),
}))
"""


@dataclass(frozen=True, slots=True)
class MachineFinding:
    """One thing that was looked at.

    Attributes:
        means: what its lack means.
        essential: whether plans with containers cannot run without it.
    """

    what: str
    ok: bool
    found: str
    means: str = ""
    essential: bool = False


def examine_machine(root: Path) -> Iterator[MachineFinding]:
    """Look at everything that a run needs, one finding at a time."""
    version = platform.python_version()
    yield MachineFinding("Python", sys.version_info >= (3, 11), version, "3.11 or newer is needed", essential=True)
    cores = os.cpu_count() or 1
    yield MachineFinding(
        "cores", cores >= 2, str(cores),
        "load generator and system share one core: high rates will be inconclusive",
    )  # fmt: skip
    yield _space(root)
    yield _database(root)
    try:
        client = find_engine(timeout=30)
    except EngineError as error:
        yield MachineFinding("Docker engine", ok=False, found=error.message, means=error.hint or "", essential=True)
        return
    info = client.info()
    cgroup = info.get("CgroupVersion", "1")
    yield MachineFinding(
        "Docker engine", ok=True, found=f"{info['ServerVersion']}, cgroup v{cgroup}, kernel {info['KernelVersion']}"
    )
    yield from _network(client)


def _space(root: Path) -> MachineFinding:
    place = next(path for path in (root, *root.resolve().parents) if path.exists())
    free = shutil.disk_usage(place).free
    return MachineFinding(
        "disk",
        free > FREE_SPACE,
        f"{free / 1e9:.1f} GB free",
        "a full disk ends a run: nothing can be noted before it is done",
    )


def _database(root: Path) -> MachineFinding:
    """Open the database if there is one; otherwise only look whether it could be made: looking makes nothing."""
    if not os.environ.get(VARIABLE) and not (root / "shakedown.db").exists():
        place = next(path for path in (root, *root.resolve().parents) if path.exists())
        ok = place.is_dir() and os.access(place, os.W_OK | os.X_OK)
        found = (
            f"none yet; it will be {root / 'shakedown.db'}" if ok else f"{place} is not a folder that can be written"
        )
        return MachineFinding(
            "database", ok, found, "results cannot be kept; name another folder with --root", essential=True
        )
    try:
        engine = Store.open(root).engine
    except StoreError as error:
        return MachineFinding(
            "database", ok=False, found=error.message, means=error.hint or "results cannot be kept", essential=True
        )
    return MachineFinding("database", ok=True, found=engine.url.render_as_string(hide_password=True))


def _network(client: "DockerClient") -> Iterator[MachineFinding]:
    """Try packet rules in the network namespace of a scratch container."""
    from docker.errors import DockerException  # noqa: PLC0415 - see guard.engine

    from shakedown.faults.agents import agent_image  # noqa: PLC0415 - only with an engine

    try:
        image = agent_image(client)
        output = client.containers.run(
            image, entrypoint=["python3", "-c", _PROBE], network_mode="none", cap_add=["NET_ADMIN", "NET_RAW"], remove=True,
            labels={RUN: "doctor"}, stderr=False,
        )  # fmt: skip
        can: dict[str, Any] = json.loads(output)
    except (FaultError, DockerException, ValueError) as error:
        yield MachineFinding(
            "network faults", ok=False, found=str(error), means="network faults will be refused; the others work"
        )
        return
    tool = str(can["tool"])
    yield MachineFinding(
        "iptables", bool(tool), tool or "does not work in a container", "network faults will be refused"
    )
    lacks = {
        "redirect": ("iptables REDIRECT", "faults of connections will be refused"),
        "time": (
            "iptables time match",
            "the kernel cannot keep a fault's deadline itself; agent and watchdog still do",
        ),
        "statistic": ("iptables statistic match", "faults of a share of the packets will be refused"),
        "queue": ("NFQUEUE", "packets on the way in cannot be treated; senders are told of what is dropped on the way out"),
        "netem": ("netem", "packets are treated in an NFQUEUE of the agent instead"),
    }  # fmt: skip
    for word, (what, means) in lacks.items():
        yield MachineFinding(what, bool(can[word]), "works" if can[word] else "not in this kernel", means)
    yield from _packets(can)


def _packets(can: dict[str, Any]) -> Iterator[MachineFinding]:
    """What each fault of packets will use."""
    silent = "a queue with no listener, which is silent" if can["queue"] else "DROP, which UDP senders are told"
    for what, needs in (("network-loss", can["statistic"]), ("network-partition", can["tool"])):
        share = " statistic" if what == "network-loss" else ""
        yield MachineFinding(
            what, bool(needs), f"iptables{share}: DROP on the way in; {silent}, on the way out" if needs else "no way", "it will be refused"
        )  # fmt: skip
    queue = "NFQUEUE" if can["queue"] else "no way"
    yield MachineFinding(
        "network-delay, -corruption, -duplication, -reordering",
        bool(can["statistic"] and (can["netem"] or can["queue"])),
        f"on the way out: {'netem' if can['netem'] else queue}; on the way in: {queue}"
        if can["statistic"]
        else "no way",
        "they will be refused",
    )
