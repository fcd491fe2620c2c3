"""resource-memory-pressure: a process inside the service's own limits holds memory."""

from typing import TYPE_CHECKING

import psutil

from shakedown.errors import FaultRefusedError
from shakedown.faults.base import FaultContext
from shakedown.faults.resource.cgroup import read_cgroup
from shakedown.faults.resource.helper import HelperFault
from shakedown.faults.resource.inside import HelperProcess
from shakedown.plan.faults.resource import ResourceMemoryPressure
from shakedown.records.experiment import Proof
from shakedown.units import format_share, format_size

if TYPE_CHECKING:
    from docker.models.containers import Container

__all__ = ["FILLER", "MemoryPressureFault"]

SMALLEST = 2**20
OWN = 2 * 2**20  # what the helpers themselves need
SPARE = 512 * 2**20  # of the machine's memory, where the container has no limit
NEAR = 0.03  # how far the measured share may be off, as a share of the limit
ENOUGH = 0.9  # of a size

# Whatever keeps the last lines of endless zeros without an end of line keeps them all, until its input ends.
FILLER = """
B=$1; ( $B head -c "$4" /dev/zero; $B sleep "$3" ) | $B tail > /dev/null
"""


class MemoryPressureFault(HelperFault[ResourceMemoryPressure]):
    """The fault."""

    mechanism = "a process inside the container, in its own cgroup, that holds memory"
    proof = "memory in use in the cgroup without page cache, against its limit; memory of our process"

    def __init__(self, plan: ResourceMemoryPressure, context: FaultContext) -> None:
        super().__init__(plan, context)
        self._bytes = 0

    @property
    def parameters(self) -> str:
        """For the report."""
        if self.plan.fill is not None:
            return f"{format_share(self.plan.fill)} of the limit in use"
        return f"{format_size(self.plan.size or 0)} held"

    def check(self) -> None:
        """As every such fault; there is room for it."""
        super().check()
        limit, firm, target = self.before.memory_limit, self.before.memory_firm, self.plan.target
        if firm is None:
            raise FaultRefusedError(f"nobody tells how much memory `{target}` uses")
        if self.plan.fill is not None:
            if limit is None:
                raise FaultRefusedError(f"`{target}` has no memory limit that could be filled: give a `size`")
            self._bytes = round(self.plan.fill * limit) - firm - OWN
            if self._bytes < SMALLEST:
                raise FaultRefusedError(
                    f"`{target}` uses {format_share(firm / limit)} of its memory limit already; asked are "
                    f"{format_share(self.plan.fill)}"
                )
            return
        self._bytes = self.plan.size or 0
        room = limit - firm if limit is not None else psutil.virtual_memory().available - SPARE
        if self._bytes + OWN >= room:
            place = "its memory limit" if limit is not None else "this machine"
            raise FaultRefusedError(
                f"{format_size(self._bytes)} beside `{target}` do not fit into {place}: there is room for {format_size(max(room, 0))}"
            )

    def begin(self, seconds: int) -> None:
        """Fill."""
        self.inside.start(FILLER, seconds, self._bytes)

    def whole(self, mine: list[HelperProcess]) -> bool:
        """The memory is held."""
        return _held(mine) >= ENOUGH * self._bytes

    def measure(self, container: "Container") -> Proof:
        """The cgroup is as full as asked, and our part of it is there."""
        mine, now = self.inside.processes(), read_cgroup(container)
        held = _held(mine)
        evidence = f"{format_size(held)} held by our process, {format_size(now.memory_firm or 0)} in use in all"
        there = self.whole(mine)
        if self.plan.fill is None:
            return Proof(held=there, evidence=evidence, asked=self._bytes, measured=held, unit="B")
        limit = now.memory_limit or self.before.memory_limit or 1
        share = (now.memory_firm or 0) / limit
        return Proof(
            held=there and share >= self.plan.fill - NEAR,
            evidence=f"{evidence}: {format_share(share)} of the limit of {format_size(limit)}",
            asked=self.plan.fill,
            measured=share,
            unit="%",
        )


def _held(mine: list[HelperProcess]) -> int:
    """Bytes of the one process that holds them."""
    return max((process.memory for process in mine), default=0)
