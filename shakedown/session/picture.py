"""A picture of every service as the engine and the kernel show it: taken before the faults and after everything.

It knows nothing of any fault: whatever is different afterwards was left behind, by whichever of them.
"""

import contextlib
import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from shakedown.analysis.pictures import Picture, differences, plain_lines
from shakedown.errors import ShakedownError
from shakedown.faults.agents import agent_image
from shakedown.records.judgement import Finding, Severity
from shakedown.services.handle import Handle
from shakedown.session.live import Session
from shakedown.verdict import Verdict

if TYPE_CHECKING:
    from docker.models.containers import Container

__all__ = ["compare_with_picture", "keep_picture"]

LOOK_WITHIN = 30.0
FILE = "before-faults.json"
_LOOK = """
for each in iptables-save ip6tables-save iptables-legacy-save ip6tables-legacy-save; do
  echo "== $each"; $each 2>/dev/null
done
echo "== tc"; tc qdisc show; tc class show; for each in $(ls /sys/class/net); do tc filter show dev $each; done 2>/dev/null
echo "== rules"; ip rule; ip route show table all type unicast; ip route show type blackhole
echo "== links"; ip -o link show | sed 's/^[0-9]*: //; s/link.*//'
echo "== resolver"; cat /etc/resolv.conf
"""
_LIMITS = (
    "Memory", "MemorySwap", "MemoryReservation", "NanoCpus", "CpuQuota", "CpuPeriod", "CpuShares", "CpusetCpus",
    "PidsLimit", "BlkioWeight", "BlkioDeviceReadBps", "BlkioDeviceWriteBps", "BlkioDeviceReadIOps",
    "BlkioDeviceWriteIOps", "Ulimits", "RestartPolicy", "Privileged", "CapAdd", "CapDrop",
)  # fmt: skip
_CGROUP_FILES = (
    "memory.limit_in_bytes", "memory.max", "memory.high", "cpu.cfs_quota_us", "cpu.max", "cpu.shares", "cpu.weight",
    "pids.max", "freezer.state", "cgroup.freeze", "io.max", "cpuset.cpus",
    "blkio.throttle.read_bps_device", "blkio.throttle.write_bps_device",
    "blkio.throttle.read_iops_device", "blkio.throttle.write_iops_device",
)  # fmt: skip


def keep_picture(session: Session) -> None:
    """Take the picture that everything will be compared with, and keep it with the run."""
    picture = _take(session)
    (session.run_dir / FILE).write_text(json.dumps(picture, indent=1), encoding="utf-8")


def compare_with_picture(session: Session) -> list[tuple[Verdict, str]]:
    """Look again, and say what is different; verdicts with their reasons."""
    path = session.run_dir / FILE
    if not path.is_file():
        return []
    before: Picture = json.loads(path.read_text(encoding="utf-8"))
    after = _take(session)
    parts: list[tuple[Verdict, str]] = []
    unseen = sorted(
        f"{name} ({aspect})" for name, aspects in before.items() for aspect in aspects if aspect not in after.get(name, {})
    )  # fmt: skip
    if unseen:
        title = f"whether faults left something behind could not be seen of {', '.join(unseen)}"
        session.find("recovery", Finding(Severity.DOUBT, title, subject="shakedown"))
        parts.append((Verdict.INCONCLUSIVE, title))
    found = [session.loaded.redactor.redact(line) for line in differences(before, after)]
    if found:
        title = f"{len(found)} thing{'s' if found[1:] else ''} {'are' if found[1:] else 'is'} not as before the faults: {found[0]}"
        cause = "a fault was not taken back whole, or the system changed it itself"
        session.find("recovery", Finding(Severity.FAILURE, title, cause, tuple(found[:20]), subject="shakedown"))
        parts.append((Verdict.FAILED, title))
    return parts or [(Verdict.PASSED, "every service is as it was before the faults")]


def _take(session: Session) -> dict[str, dict[str, list[str]]]:
    looks: dict[str, Callable[[], dict[str, list[str]]]] = {}
    for name, handle in session.system.handles.items():
        if handle.container is not None:
            looks[name] = lambda handle=handle: _of_container(session, handle)  # type: ignore[misc]
        elif handle.pid is not None:
            looks[name] = lambda handle=handle: {"process": _of_process(handle.pid or 0)}  # type: ignore[misc]
    with ThreadPoolExecutor(max_workers=4, thread_name_prefix="picture") as pool:
        futures = {name: pool.submit(look) for name, look in looks.items()}
        picture = {name: future.result() for name, future in futures.items()}
    if session.system.client is not None:
        picture["engine"] = _of_engine(session)
    return picture


def _of_engine(session: Session) -> dict[str, list[str]]:
    """The run's own containers and networks."""
    from docker.errors import DockerException  # noqa: PLC0415 - see guard.engine

    client = session.system.client
    assert client is not None  # noqa: S101 - whoever calls looked
    filters: dict[str, str | list[str] | bool] = {"label": f"shakedown.run={session.run_id}"}
    try:
        containers = client.containers.list(all=True, filters=filters, ignore_removed=True)
        networks = client.networks.list(filters=filters)
    except (DockerException, OSError) as error:
        session.say("warning", "engine", f"its containers cannot be listed: {error}")
        return {}
    kept = [one for one in containers if "shakedown.look" not in one.labels]
    return {
        "containers": sorted(str(one.name) for one in kept),
        "networks": sorted(str(network.name) for network in networks),
    }


# -------------------------------------------------------------------------------------------------------- containers
def _limits(host: Mapping[str, Any]) -> dict[str, Any]:
    """The engine's settings; no CPU quota is no quota, whether it was never given or taken back (then it is -1)."""
    found = {key: host.get(key) for key in _LIMITS}
    if (host.get("CpuQuota") or 0) <= 0:  # a period alone limits nothing
        found["CpuQuota"] = found["CpuPeriod"] = 0
    return found


def _of_container(session: Session, handle: Handle) -> dict[str, list[str]]:
    from docker.errors import DockerException  # noqa: PLC0415 - see guard.engine

    client = session.system.client
    assert client is not None  # noqa: S101 - it has a container
    found: dict[str, list[str]] = {}
    try:
        container = client.containers.get(str(handle.container))
        attributes = container.attrs
        state, host, config = attributes["State"], attributes["HostConfig"], attributes["Config"]
        found["state"] = [str(state["Status"])]
        found["limits"] = [f"{key} {json.dumps(value, sort_keys=True)}" for key, value in _limits(host).items()]
        found["program"] = [json.dumps([config.get("Image"), config.get("Entrypoint"), config.get("Cmd")])]
        found["networks"] = [
            f"{name} as {', '.join(sorted(set(network.get('Aliases') or [])))}"
            for name, network in sorted(attributes["NetworkSettings"]["Networks"].items())
        ]
        if state["Status"] == "running":
            found |= _of_kernel(int(state.get("Pid") or 0), str(container.id))
            found |= _of_namespace(session, container)
            found["stopped processes"] = _stopped(container)
    except (DockerException, ShakedownError, OSError, KeyError) as error:
        session.say("warning", handle.name, f"it cannot be looked at in full: {error}")
    return found


def _stopped(container: "Container") -> list[str]:
    top: Any = container.top(ps_args="-eo pid,stat,comm")
    return sorted(row[2] for row in top.get("Processes") or [] if row[1][:1] in ("T", "t"))


def _of_namespace(session: Session, container: "Container") -> dict[str, list[str]]:
    """Packet rules, qdiscs, routes: seen by a container of our own that shares the service's network for a moment."""
    client = session.system.client
    assert client is not None  # noqa: S101 - it has a container
    looker = client.containers.create(
        agent_image(client), entrypoint=["sh", "-c", _LOOK], user="0", network_mode=f"container:{container.id}",
        cap_drop=["ALL"], cap_add=["NET_ADMIN", "NET_RAW"], labels={**session.system.labels.of(), "shakedown.look": "1"},
        mem_limit="64m",
    )  # fmt: skip
    try:
        looker.start()
        looker.wait(timeout=LOOK_WITHIN)
        text = looker.logs(stdout=True, stderr=False).decode(errors="replace")
    finally:
        with contextlib.suppress(Exception):
            looker.remove(force=True)
    found: dict[str, list[str]] = {}
    for part in text.split("== ")[1:]:
        name, _, lines = part.partition("\n")
        found[name] = sorted(plain_lines(lines))
    return found


def _of_kernel(pid: int, container: str) -> dict[str, list[str]]:
    """Limits that the kernel itself keeps, where this machine runs the container."""
    found: dict[str, list[str]] = {}
    try:
        limits = Path(f"/proc/{pid}/limits").read_text(encoding="utf-8")
        places = Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8")
    except OSError:
        return found
    found["process limits"] = [" ".join(line.split()) for line in limits.splitlines()[1:]]
    lines = []
    for place in places.splitlines():
        _, controllers, path = place.split(":", 2)
        if container not in path:
            continue
        folder = Path("/sys/fs/cgroup") / controllers.removeprefix("name=") / path.lstrip("/")
        for name in _CGROUP_FILES:
            with contextlib.suppress(OSError):
                lines.append(f"{name} {' '.join((folder / name).read_text(encoding='utf-8').split())}")
    found["cgroup"] = sorted(set(lines))
    return found


def _of_process(pid: int) -> list[str]:
    """State and limits of a process that the run started."""
    try:
        process = psutil.Process(pid)
        stopped = process.status() in (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP)
        lines = [f"stopped {stopped}", f"nice {process.nice()}"]
        with contextlib.suppress(OSError):
            limits = Path(f"/proc/{pid}/limits").read_text(encoding="utf-8")
            lines += [" ".join(line.split()) for line in limits.splitlines()[1:]]
    except psutil.Error:
        return ["it does not run"]
    return lines
