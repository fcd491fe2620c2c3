"""resource-cpu-hog: busy processes inside the service's own limits."""

import math
import os
import time
from typing import TYPE_CHECKING

from shakedown.faults.base import FaultContext
from shakedown.faults.resource.cgroup import CgroupState, read_cgroup
from shakedown.faults.resource.helper import HelperFault
from shakedown.faults.resource.inside import HelperProcess
from shakedown.plan.faults.resource import ResourceCpuHog
from shakedown.records.experiment import Proof

if TYPE_CHECKING:
    from docker.models.containers import Container

__all__ = ["CpuHogFault"]

ENOUGH = 0.5  # of what was asked: an equal share against a service that is as busy
SOME = 0.1  # where the container is throttled, so that whatever the loops used the service lacks
LOOK_OVER = 1.0  # seconds that are measured at least

# Each loop looks at the time some hundred times a second, and ends by itself also when nobody is there to end it.
_BUSY = """
B=$1; end=$(($($B date +%s) + $3)); n=$4
while [ "$n" -gt 0 ]; do
  ( while [ "$($B date +%s)" -lt "$end" ]; do j=0; while [ $j -lt 10000 ]; do j=$((j+1)); done; done ) &
  n=$((n-1))
done
wait
"""


class CpuHogFault(HelperFault[ResourceCpuHog]):
    """The fault."""

    mechanism = "busy loops inside the container, in its own cgroup"
    proof = (
        "CPU time that the loops used: half of what was asked or more; or the container throttled more often than not"
    )

    def __init__(self, plan: ResourceCpuHog, context: FaultContext) -> None:
        super().__init__(plan, context)
        self._workers = plan.workers or 0
        self._room = 0.0  # CPUs that the loops could have at most
        self._last: tuple[float, float, CgroupState] | None = None

    @property
    def parameters(self) -> str:
        """For the report."""
        workers = self.plan.workers or self._workers
        return f"{workers} busy process{'es' if workers > 1 else ''}" if workers else "one busy process for each CPU"

    def check(self) -> None:
        """As every such fault; how many CPUs there are."""
        super().check()
        there = float(self.context.client.info().get("NCPU") or os.cpu_count() or 1)
        may = min(self.before.cpus or there, there)
        self._workers = self.plan.workers or max(math.ceil(may), 1)
        self._room = min(float(self._workers), may)

    def begin(self, seconds: int) -> None:
        """Start the loops."""
        before = read_cgroup(self.context.running(self.plan.target))
        self.inside.start(_BUSY, seconds, self._workers)
        self._last = (time.monotonic(), 0.0, before)

    def whole(self, mine: list[HelperProcess]) -> bool:
        """Every loop, and the shell that started them."""
        return sum(process.name != "date" for process in mine) > self._workers

    def measure(self, container: "Container") -> Proof:
        """They get their share of the CPUs, or there is nothing left for anybody."""
        if self._last is None or time.monotonic() - self._last[0] < LOOK_OVER:
            # A look costs CPU time of the container: it must not be what is measured.
            return Proof(held=False, evidence="the loops were started; not yet measured for long enough")
        mine, now, at = self.inside.processes(), read_cgroup(container), time.monotonic()
        used = sum(process.cpu_seconds for process in mine)
        since, before, first = self._last
        self._last = (at, used, now)
        if not self.whole(mine):
            return Proof(held=False, evidence=f"{len(mine)} processes of ours run, for {self._workers} loops")
        rate = (used - before) / (at - since)
        periods, throttled = (now.periods or 0) - (first.periods or 0), (now.throttled or 0) - (first.throttled or 0)
        evidence = f"{len(mine)} processes of ours used {rate:.2f} of {self._room:g} CPUs for {at - since:.1f} s"
        if throttled:
            evidence += f"; the container was throttled in {throttled} of {periods} periods"
        contended = throttled > ENOUGH * max(periods, 1) and rate >= SOME * self._room
        held = rate >= ENOUGH * self._room or contended
        return Proof(held=held, evidence=evidence, asked=self._room, measured=rate, unit="CPUs")
