"""resource-memory-limit: the container's memory limit is lowered; cgroup v1 refuses one below what is held."""

from typing import TYPE_CHECKING

from shakedown.errors import FaultRefusedError
from shakedown.faults.resource.cgroup import UNLIMITED, CgroupState
from shakedown.faults.resource.limits import LimitFault
from shakedown.plan.faults.resource import ResourceMemoryLimit
from shakedown.records.experiment import Proof
from shakedown.units import format_size

if TYPE_CHECKING:
    from docker.models.containers import Container

__all__ = ["MemoryLimitFault"]

FELT = 0.8  # of the limit in use, page cache included: from there on the kernel has to look for memory
PAGES = 2**16  # the kernel rounds a limit to whole pages; 64 KiB are the largest there are
NONE_V1 = 2**63 - 4096  # how v1 itself writes "no limit"; the engine takes no -1 for memory


class MemoryLimitFault(LimitFault[ResourceMemoryLimit]):
    """The fault."""

    mechanism = "Docker: memory limit of the running container (cgroup)"
    proof = "limit read back from the cgroup, and at least 80 % of it in use, or met, or somebody killed for it"

    @property
    def parameters(self) -> str:
        """For the report."""
        return format_size(self.plan.memory)

    def lowered(self, container: "Container") -> tuple[dict[str, int], dict[str, int]]:
        """Memory and swap: what could be swapped beside the memory still can."""
        asked, config = self.plan.memory, container.attrs["HostConfig"]
        self.no_higher(asked, self.before.memory_limit, "a memory limit of")
        info = self.context.client.info()
        version = str(info.get("CgroupVersion", "1"))
        firm = self.before.memory_firm or 0
        if version == "1" and firm >= asked:
            raise FaultRefusedError(
                f"cgroup v1 refuses a memory limit ({format_size(asked)}) below what `{self.plan.target}` holds "
                f"({format_size(firm)})"
            )
        memory, swap = int(config.get("Memory") or 0), int(config.get("MemorySwap") or 0)
        limited = 0 < memory < UNLIMITED
        low = {"Memory": asked, "MemorySwap": asked}
        # v1 writes both as numbers; v2 keeps swap apart, and the difference of two equal numbers would forbid it.
        back = {"Memory": NONE_V1, "MemorySwap": -1 if version == "2" else NONE_V1}
        if limited:
            low["MemorySwap"] = asked + max(swap - memory, 0) if swap >= 0 else -1
            back = {"Memory": memory, "MemorySwap": swap}
        if not info.get("SwapLimit"):  # a kernel that does not count swap: the engine refuses or ignores it
            low, back = {"Memory": low["Memory"]}, {"Memory": back["Memory"]}
        return low, back

    def ended(self, container: "Container") -> Proof:
        """The kernel may have killed it for the limit."""
        if container.attrs["State"].get("OOMKilled"):
            return Proof(
                held=True,
                evidence=f"the kernel killed it for the limit: exit code {container.attrs['State']['ExitCode']}",
                asked=self.plan.memory, measured=int(container.attrs["HostConfig"]["Memory"]), unit="B",
            )  # fmt: skip
        return super().ended(container)

    def felt(self, now: CgroupState) -> Proof:
        """The limit is there, and the service is near it."""
        limit, used = now.memory_limit, now.memory_used or 0
        if limit is None or abs(limit - self.plan.memory) > PAGES:
            return Proof(held=False, evidence=f"the kernel's limit is {limit or 'none'}, not {self.plan.memory}")
        hits = (now.memory_hits or 0) - (self.counted.memory_hits or 0)
        kills = (now.oom_kills or 0) - (self.counted.oom_kills or 0)
        evidence = f"limit {format_size(limit)} ({now.source}), {format_size(used)} in use, met {hits} times"
        if kills:
            evidence += f", {kills} processes killed for it"
        held = used >= FELT * limit or hits > 0 or kills > 0
        return Proof(
            held=held,
            evidence=evidence if held else f"{evidence}: the service does not feel it",
            asked=self.plan.memory,
            measured=limit,
            unit="B",
        )
