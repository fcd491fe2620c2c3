"""What this machine can and cannot do, found by trying."""

import os
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from shakedown.errors import EngineError, FaultError, StoreError
from shakedown.guard import find_engine
from shakedown.guard.labels import RUN
from shakedown.results import Store
from shakedown.results.database import VARIABLE

if TYPE_CHECKING:
    from docker import DockerClient

__all__ = ["MachineFinding", "examine_machine"]

FREE_SPACE = 2e9
_PROBE = """
for tool in iptables-nft iptables-legacy; do "$tool" -w -t nat -S >/dev/null 2>&1 && { echo "tool $tool"; break; }; done
"$tool" -w -t nat -A PREROUTING -p tcp --dport 9 -j REDIRECT --to-ports 10 >/dev/null 2>&1 && echo redirect
"$tool" -w -A INPUT -p tcp --dport 9 -m time --datestop 2038-01-01T00:00:00 -j ACCEPT >/dev/null 2>&1 && echo time
tc qdisc add dev lo root netem delay 1ms >/dev/null 2>&1 && echo netem && tc qdisc del dev lo root
tc qdisc add dev lo root tbf rate 1mbit burst 32kbit latency 400ms >/dev/null 2>&1 && echo tbf
true
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
            image, entrypoint=["sh", "-c", _PROBE], network_mode="none", cap_add=["NET_ADMIN", "NET_RAW"], remove=True,
            labels={RUN: "doctor"},
        ).decode()  # fmt: skip
    except (FaultError, DockerException) as error:
        yield MachineFinding(
            "network faults", ok=False, found=str(error), means="network faults will be refused; the others work"
        )
        return
    words = output.split()
    tool = words[words.index("tool") + 1] if "tool" in words else None
    lacks = {
        "redirect": ("iptables REDIRECT", "network-latency will be refused"),
        "time": (
            "iptables time match",
            "the kernel cannot keep a fault's deadline itself; agent and watchdog still do",
        ),
        "netem": ("netem", "latency comes from a transparent proxy instead, which works on connections, not packets"),
        "tbf": ("tbf", "bandwidth cannot be limited by the kernel"),
    }
    yield MachineFinding(
        "iptables", tool is not None, tool or "does not work in a container", "network faults will be refused"
    )
    for word, (what, means) in lacks.items():
        yield MachineFinding(what, word in words, "works" if word in words else "not in this kernel", means)
