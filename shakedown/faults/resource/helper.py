"""What the faults have in common that are processes of ours inside the container."""

import time
from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar, TypeVar

from shakedown.errors import FaultError
from shakedown.faults.base import Fault, FaultContext
from shakedown.faults.resource.cgroup import CgroupState, read_cgroup
from shakedown.faults.resource.inside import HelperProcess, Inside
from shakedown.guard.undo import Undo, carry_out
from shakedown.plan.faults.base import OnService
from shakedown.records.experiment import Proof

if TYPE_CHECKING:
    from docker.models.containers import Container

__all__ = ["HelperFault"]

P = TypeVar("P", bound=OnService)


class HelperFault(Fault[P]):
    """Marked processes in the container's own cgroup, which end themselves at the deadline."""

    reversal = "our marked processes ended, and no other"
    needs: ClassVar[tuple[str, ...]] = ("a shell in the image, or a file system that can be written",)
    layers: tuple[str, ...] = ("journal", "watchdog", "own deadline")

    def __init__(self, plan: P, context: FaultContext) -> None:
        super().__init__(plan, context)
        self.before = CgroupState()
        self._inside: Inside | None = None
        self._proved = False

    @property
    def inside(self) -> Inside:
        """What runs inside the container, once the ground is checked."""
        if self._inside is None:
            raise FaultError("the container was never looked into")
        return self._inside

    def check(self) -> None:
        """The container runs, and something can be run in it."""
        container = self.context.running(self.plan.target)
        self.before = read_cgroup(container)
        self._inside = Inside(container, self.context.client)
        self.mechanism = f"{type(self).mechanism}: {self.inside.tools}"

    def files(self) -> tuple[str, ...]:
        """Files of ours inside the container."""
        return ()

    def undo(self) -> Undo:
        """End the processes, and remove the files."""
        return self.inside.undo(*self.files())

    def inject(self, deadline: float) -> None:
        """Start them; they end at the deadline by themselves."""
        self.begin(max(round(deadline - time.time()), 1))

    @abstractmethod
    def begin(self, seconds: int) -> None:
        """Start the processes, which end after so many seconds."""

    @abstractmethod
    def measure(self, container: "Container") -> Proof:
        """What our processes take."""

    @abstractmethod
    def whole(self, mine: list[HelperProcess]) -> bool:
        """Whether they are all still at it."""

    def effect(self) -> Proof:
        """They run, and take what was asked."""
        container = self.context.container(self.plan.target)
        proof = None if self.inside.restarted(container) else self.measure(container)
        container = self.context.container(self.plan.target)
        if proof is None or self.inside.restarted(container):
            return Proof(
                held=False, evidence=f"the container is {container.status}, or was started anew: none of ours is left"
            )
        self._proved = self._proved or proof.held
        return proof

    def revert(self) -> None:
        """End them; if one ended before its time that is told, because the fault was shorter than it seems."""
        proved, self._proved = self._proved, False
        early = self._ended_early() if proved else ""
        carry_out(self.undo(), self.context.client)
        if early:
            raise FaultError(f"the fault was shorter than asked: {early}")

    def _ended_early(self) -> str:
        """What ended it before its time; empty: nothing did."""
        mine = self.inside.processes() if self.context.container(self.plan.target).status == "running" else []
        container = self.context.container(self.plan.target)
        if self.inside.restarted(container):
            return f"the container of `{self.plan.target}` was started anew, or ended"
        if container.status == "running" and not self.whole(mine):
            return "a process of ours ended before its time: somebody, or the kernel, killed it"
        return ""

    def gone(self) -> Proof:
        """None of our processes runs."""
        container = self.context.container(self.plan.target)
        if self.inside.restarted(container):
            return Proof(held=True, evidence="the target was started anew, or ended: no process of ours is left in it")
        code, text = self.inside.run("exit 0")
        if code and self.inside.undo().tool:  # the program that would look is gone, which is the last step of the undo
            return Proof(held=True, evidence="our processes ended, and the program that was copied in is removed")
        if code:
            raise FaultError(f"nothing can be run inside `{self.plan.target}`: {text.strip()[-200:]}")
        left = self.inside.processes()
        return Proof(held=not left, evidence=f"{len(left)} processes of ours in the container")

    def close(self) -> None:
        """Nothing is left behind by a fault that was refused after its ground was prepared."""
        if self._inside is not None:
            carry_out(self.inside.undo(), self.context.client)
