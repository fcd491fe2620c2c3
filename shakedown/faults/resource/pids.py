"""resource-pids: the container may start no more processes and threads, or only a few."""

from typing import TYPE_CHECKING

from shakedown.errors import FaultRefusedError
from shakedown.faults.resource.cgroup import CgroupState
from shakedown.faults.resource.limits import LimitFault
from shakedown.plan.faults.resource import ResourcePids
from shakedown.records.experiment import Proof

if TYPE_CHECKING:
    from docker.models.containers import Container

__all__ = ["PidsFault"]


class PidsFault(LimitFault[ResourcePids]):
    """The fault."""

    mechanism = "Docker: limit of processes of the running container (cgroup)"
    proof = "limit read back from the cgroup, and as many processes as it allows, or some refused"

    @property
    def parameters(self) -> str:
        """For the report."""
        return f"{self.plan.leave} more than there are"

    def lowered(self, container: "Container") -> tuple[dict[str, int], dict[str, int]]:
        """To what there is now, and a little more."""
        if self.before.pids is None:
            raise FaultRefusedError(f"nobody tells how many processes `{self.plan.target}` has")
        limit = self.before.pids + self.plan.leave
        self.no_higher(limit, self.before.pids_limit, "a limit of processes of")
        own = int(container.attrs["HostConfig"].get("PidsLimit") or 0)
        return {"PidsLimit": limit}, {"PidsLimit": own if own > 0 else -1}

    def felt(self, now: CgroupState) -> Proof:
        """The limit is there, and reached."""
        asked = self._lowered["PidsLimit"]
        if now.pids_limit != asked:
            return Proof(held=False, evidence=f"the kernel's limit is {now.pids_limit or 'none'}, not {asked}")
        refused = (now.pids_hits or 0) - (self.counted.pids_hits or 0)
        evidence = f"limit {asked} ({now.source}), {now.pids} processes and threads, {refused} refused"
        held = refused > 0 or (now.pids or 0) >= asked
        return Proof(
            held=held,
            evidence=evidence if held else f"{evidence}: the service does not feel it",
            asked=asked,
            measured=now.pids,
            unit="processes",
        )
