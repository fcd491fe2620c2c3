"""resource-slow-disk: the kernel lets a container read and write only so much each second.

The engine sets such limits only when it creates a container. So they are written into the container's cgroup itself,
which takes an engine on this machine, and root.
"""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from shakedown.errors import FaultError, FaultRefusedError
from shakedown.faults.base import Fault, FaultContext
from shakedown.faults.resource.cgroup import cgroup_folder
from shakedown.guard.undo import CommandRun, Undo, carry_out
from shakedown.plan.faults.resource import ResourceSlowDisk
from shakedown.records.experiment import Proof
from shakedown.units import format_size

if TYPE_CHECKING:
    from docker.models.containers import Container

__all__ = ["SlowDiskFault", "parse_served", "parse_throttle"]

FELT, KEPT = 0.7, 1.3  # of the limit: at least so much is wanted, at most so much gets through
LOOK_OVER = 1.0  # seconds that are measured at least
V1 = {"read": "blkio.throttle.read_bps_device", "write": "blkio.throttle.write_bps_device"}
V2 = {"read": "rbps", "write": "wbps"}
_WRITE = 'while [ $# -gt 1 ]; do if [ -e "$1" ]; then printf "%s" "$2" > "$1" || exit 1; fi; shift 2; done'


def parse_throttle(files: Mapping[str, str], device: str) -> dict[str, int]:
    """The limits of a device in bytes each second, 0 where there is none.

    Args:
        files: contents by name: `io.max` (v2), or the two of v1.
    """
    found = {"read": 0, "write": 0}
    for direction in found:
        for line in files.get(V1[direction], "").splitlines():
            name, _, value = line.partition(" ")
            if name == device:
                found[direction] = int(value)
    for line in files.get("io.max", "").splitlines():
        name, *pairs = line.split()
        values = dict(pair.split("=") for pair in pairs) if name == device else {}
        found |= {way: int(values[key]) for way, key in V2.items() if values.get(key, "max") != "max"}
    return found


def parse_served(text: str, device: str) -> dict[str, int]:
    """Bytes read and written so far on a device, from v1's `blkio.throttle.io_service_bytes` or v2's `io.stat`."""
    found = {"read": 0, "write": 0}
    for line in text.splitlines():
        name, *rest = line.split()
        if name != device:
            continue
        if len(rest) == 2 and rest[0].lower() in found:
            found[rest[0].lower()] = int(rest[1])
        values = dict(pair.split("=") for pair in rest if "=" in pair)
        found |= {way: int(values[key]) for way, key in {"read": "rbytes", "write": "wbytes"}.items() if key in values}
    return found


class SlowDiskFault(Fault[ResourceSlowDisk]):
    """The fault."""

    mechanism = "limits of bytes each second on the disk, in the container's cgroup (blkio.throttle or io.max)"
    proof = "limits read back, and the service's own reads or writes between 70 and 130 % of one"
    reversal = "the disk's limits as they were"
    needs = ("root", "an engine on this machine", "blkio throttling in the kernel")

    def __init__(self, plan: ResourceSlowDisk, context: FaultContext) -> None:
        super().__init__(plan, context)
        self._folder = Path()
        self._v2 = False
        self._device = ""
        self._started = ""
        self._before: dict[str, int] = {}
        self._last: tuple[float, dict[str, int]] | None = None

    @property
    def _asked(self) -> dict[str, int]:
        pairs = {"read": self.plan.read, "write": self.plan.write}
        return {way: value for way, value in pairs.items() if value is not None}

    @property
    def parameters(self) -> str:
        """For the report."""
        return ", ".join(f"{way} {format_size(value)}/s" for way, value in self._asked.items())

    def check(self) -> None:
        """The kernel can, and we may."""
        container = self.context.running(self.plan.target)
        self._started = str(container.attrs["State"]["StartedAt"])
        folders = cgroup_folder(int(container.attrs["State"]["Pid"]), str(container.id))
        if not folders:
            raise FaultRefusedError(
                f"the cgroup of `{self.plan.target}` is not on this machine: the engine runs on another, or in a virtual machine"
            )
        self._v2 = "blkio" not in folders
        self._folder = folders.get("blkio", folders.get("", Path("/nowhere")))
        names = ["io.max"] if self._v2 else [V1[way] for way in self._asked]
        for name in names:
            if not (self._folder / name).exists():
                raise FaultRefusedError(
                    f"this kernel cannot throttle a container's disk: there is no {name} in its cgroup"
                )
            if not os.access(self._folder / name, os.W_OK):
                raise FaultRefusedError(
                    f"only root may throttle a container's disk: {self._folder / name} cannot be written"
                )
        self._device = self._disk(container)
        self._before = self._throttle()
        for way, value in self._asked.items():
            if 0 < self._before[way] <= value:
                raise FaultRefusedError(f"`{self.plan.target}` may {way} only {self._before[way]} B/s anyway")

    def _disk(self, container: "Container") -> str:
        """The disk (`8:0`) on which the place is."""
        mounts = Path(f"/proc/{container.attrs['State']['Pid']}/mountinfo").read_text(encoding="utf-8").splitlines()
        best = ("", "", "")
        for line in mounts:
            fields, _, rest = line.partition(" - ")
            number, point = fields.split()[2], fields.split()[4]
            under = self.plan.path == point or self.plan.path.startswith(f"{point.rstrip('/')}/")
            if under and len(point) >= len(best[1]):
                best = (number, point, rest.split()[0])
        number = best[0]
        upper = (container.attrs.get("GraphDriver") or {}).get("Data", {}) or {}
        if best[2] == "overlay" and Path(upper.get("UpperDir", "/nowhere")).exists():
            device = Path(upper["UpperDir"]).stat().st_dev
            number = f"{os.major(device)}:{os.minor(device)}"
        entry = Path(f"/sys/dev/block/{number}")
        if not entry.exists():
            raise FaultRefusedError(
                f"{self.plan.path} of `{self.plan.target}` is on {best[2] or 'nothing'}, not on a disk that can be throttled"
            )
        real = entry.resolve()
        return ((real.parent if (real / "partition").exists() else real) / "dev").read_text().strip()

    def _throttle(self) -> dict[str, int]:
        names = ("io.max",) if self._v2 else V1.values()
        try:
            return parse_throttle({name: (self._folder / name).read_text() for name in names}, self._device)
        except OSError as error:
            raise FaultError(f"the disk's limits of `{self.plan.target}` cannot be read: {error.strerror}") from error

    def _lines(self, values: Mapping[str, int]) -> list[tuple[Path, str]]:
        """What to write where."""
        if self._v2:
            pairs = " ".join(f"{V2[way]}={value or 'max'}" for way, value in values.items())
            return [(self._folder / "io.max", f"{self._device} {pairs}")]
        return [(self._folder / V1[way], f"{self._device} {value}") for way, value in values.items()]

    def undo(self) -> Undo:
        """The limits as they were; where the cgroup is gone there are none."""
        before = {way: self._before[way] for way in self._asked}
        words = [word for path, text in self._lines(before) for word in (str(path), text)]
        return CommandRun(command=["sh", "-c", _WRITE, "sh", *words], cwd="/")

    def inject(self, deadline: float) -> None:  # noqa: ARG002 - the journal and the watchdog keep this deadline
        """Set them."""
        try:
            for path, text in self._lines(self._asked):
                path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise FaultError(f"the disk of `{self.plan.target}` cannot be throttled: {error.strerror}") from error

    def still(self) -> Proof | None:
        """The limits are there; how they are felt differs from moment to moment, and was seen."""
        there = self._throttle()
        wrong = [way for way, value in self._asked.items() if there[way] != value]
        if wrong:
            return Proof(held=False, evidence=f"the kernel's limit to {wrong[0]} is {there[wrong[0]] or 'none'}")
        return None

    def effect(self) -> Proof:
        """The limits are there, and the service would like more."""
        if (wrong := self.still()) is not None:
            return wrong
        name = "io.stat" if self._v2 else "blkio.throttle.io_service_bytes"
        at, served = time.monotonic(), parse_served((self._folder / name).read_text(), self._device)
        if self._last is None:
            self._last = (at, served)
        since, before = self._last
        if at - since < LOOK_OVER:
            return Proof(
                held=False, evidence="the limits are there; its reads and writes are not yet measured for long enough"
            )
        self._last = (at, served)
        rates = {way: (served[way] - before[way]) / (at - since) for way in self._asked}
        way = max(rates, key=lambda one: rates[one] / self._asked[one])
        rate, asked = rates[way], self._asked[way]
        evidence = f"limit to {way} {format_size(asked)}/s on {self._device}, {format_size(rate)}/s got through"
        if rate < FELT * asked:
            evidence += ": the service does not feel it"
            if not self._v2:
                evidence += " (cgroup v1 does not throttle what is only written to the page cache)"
        return Proof(
            held=FELT * asked <= rate <= KEPT * asked, evidence=evidence, asked=asked, measured=rate, unit="B/s"
        )

    def revert(self) -> None:
        """Set them back; a container that was started anew lost them, which is told."""
        carry_out(self.undo(), self.context.client)
        state = self.context.container(self.plan.target).attrs["State"]
        started, self._started = self._started, str(state["StartedAt"])
        if started != self._started:
            raise FaultError(
                f"the fault was shorter than asked: the container of `{self.plan.target}` was started anew"
            )

    def gone(self) -> Proof:
        """The limits are what they were."""
        if not self._folder.exists():
            return Proof(held=True, evidence="the container ended, and its cgroup with it")
        now = self._throttle()
        return Proof(
            held=now == self._before,
            evidence=f"limits on {self._device}: read {now['read'] or 'none'}, write {now['write'] or 'none'}",
        )
