"""resource-cpu-limit: the container's CPU limit is lowered."""

import time
from typing import TYPE_CHECKING

from shakedown.faults.base import FaultContext
from shakedown.faults.resource.cgroup import CgroupState
from shakedown.faults.resource.limits import LimitFault
from shakedown.plan.faults.resource import ResourceCpuLimit
from shakedown.records.experiment import Proof

if TYPE_CHECKING:
    from docker.models.containers import Container

__all__ = ["CpuLimitFault"]

PERIOD = 100_000  # µs; the kernel's own choice
LOOK_OVER = 1.0  # seconds that are measured at least: ten periods
KEPT = 1.3  # of the limit, at most, may be used: a period that had begun is not cut any more


class CpuLimitFault(LimitFault[ResourceCpuLimit]):
    """The fault."""

    mechanism = "Docker: CPU quota of the running container (cgroup)"
    proof = (
        "quota read back from the cgroup, periods in which the service was throttled, and CPUs that it used meanwhile"
    )

    def __init__(self, plan: ResourceCpuLimit, context: FaultContext) -> None:
        super().__init__(plan, context)
        self._first: tuple[float, CgroupState] | None = None

    @property
    def parameters(self) -> str:
        """For the report."""
        return f"{self.plan.cpus:g} CPUs"

    def lowered(self, container: "Container") -> tuple[dict[str, int], dict[str, int]]:
        """In the way in which the container's limit is given: the engine refuses the other."""
        self.no_higher(self.plan.cpus, self.before.cpus, "a CPU limit of")
        config = container.attrs["HostConfig"]
        nano = int(config.get("NanoCpus") or 0)
        if nano > 0:
            return {"NanoCpus": round(self.plan.cpus * 1e9)}, {"NanoCpus": nano}
        period, quota = int(config.get("CpuPeriod") or PERIOD), int(config.get("CpuQuota") or -1)
        # A quota below 1 ms is refused.
        low = {"CpuPeriod": period, "CpuQuota": max(round(self.plan.cpus * period), 1000)}
        return low, {"CpuPeriod": period, "CpuQuota": quota}

    def felt(self, now: CgroupState) -> Proof:
        """The quota is there, and cuts."""
        at = time.monotonic()
        if now.cpus is None or abs(now.cpus - self.plan.cpus) > 0.05 * self.plan.cpus + 0.01:
            return Proof(
                held=False, evidence=f"the kernel's limit is {now.cpus or 'none'}, not {self.plan.cpus:g} CPUs"
            )
        if self._first is None or (now.periods or 0) < (self._first[1].periods or 0):  # or it was started anew
            self._first = (at, now)
        since, first = self._first
        if at - since < LOOK_OVER:
            return Proof(
                held=False, evidence=f"the limit is {now.cpus:g} CPUs; its use is not yet measured for long enough"
            )
        throttled = (now.throttled or 0) - (first.throttled or 0)
        periods = (now.periods or 0) - (first.periods or 0)
        used = ((now.cpu_seconds or 0.0) - (first.cpu_seconds or 0.0)) / (at - since)
        evidence = f"limit {now.cpus:g} CPUs ({now.source}), throttled in {throttled} of {periods} periods, {used:.3g} CPUs used"
        if not throttled:
            evidence += ": the service does not feel it"
        held = throttled > 0 and used <= KEPT * self.plan.cpus
        return Proof(held=held, evidence=evidence, asked=self.plan.cpus, measured=used, unit="CPUs")
