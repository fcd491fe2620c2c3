"""resource-open-files: the running processes may open no more files, connections among them."""

import sys

from shakedown.errors import FaultError, FaultRefusedError
from shakedown.faults.base import Fault, FaultContext
from shakedown.faults.resource.cgroup import cgroup_folder
from shakedown.guard.undo import CommandRun, Undo, carry_out
from shakedown.plan.faults.resource import ResourceOpenFiles
from shakedown.records.experiment import Proof

if sys.platform == "linux":
    from shakedown.faults.resource.rlimits import Lowered, Scope, lowest_free, soft_limit

__all__ = ["OpenFilesFault"]


class OpenFilesFault(Fault[ResourceOpenFiles]):
    """The fault."""

    mechanism = "soft limit of open files of the running processes, set from outside (prlimit)"
    proof = "limits read back, and a process whose next file would be beyond its limit"
    reversal = "the limits as they were, children's included"
    needs = ("Linux", "processes on this machine that we may change: our own, or root")

    def __init__(self, plan: ResourceOpenFiles, context: FaultContext) -> None:
        super().__init__(plan, context)
        self._lowered: Lowered | None = None

    @property
    def parameters(self) -> str:
        """For the report."""
        return f"{self.plan.leave} more than are open"

    @property
    def _them(self) -> "Lowered":
        if self._lowered is None:
            raise FaultError("the processes were never looked at")
        return self._lowered

    def check(self) -> None:
        """The processes are on this machine, and their limits can be changed."""
        if sys.platform != "linux":
            raise FaultRefusedError("limits of a running process can be changed from outside on Linux only")
        target = self.plan.target
        try:
            self._lowered = Lowered.plan(self._scope(), self.plan.leave)
        except PermissionError:
            raise FaultRefusedError(
                f"the limits of `{target}`'s processes may be changed by root or their own user only"
            ) from None
        except OSError as error:
            raise FaultError(f"the processes of `{target}` cannot be looked at: {error}") from error
        if not self._lowered.processes:
            raise FaultRefusedError(f"no process of `{target}` has a limit of open files that this would lower")

    def _scope(self) -> "Scope":
        handle = self.context.system.handle(self.plan.target)
        if handle.kind == "process":
            scope = Scope(pid=handle.pid or 0, created=handle.created or 0.0)
            if not list(scope.members()):
                raise FaultRefusedError(f"`{self.plan.target}` does not run")
            return scope
        container = self.context.running(self.plan.target)
        if not cgroup_folder(int(container.attrs["State"]["Pid"]), str(container.id)):
            raise FaultRefusedError(
                f"the processes of `{self.plan.target}` are not to be seen on this machine: the engine runs on another, or in a "
                "virtual machine"
            )
        return Scope(container=str(container.id))

    def undo(self) -> Undo:
        """Set back what is still lowered, by a program of its own."""
        return CommandRun(
            command=[sys.executable, "-m", "shakedown.faults.resource.rlimits", self._them.model_dump_json()], cwd="/"
        )

    def inject(self, deadline: float) -> None:  # noqa: ARG002 - the journal and the watchdog keep this deadline
        """Lower them."""
        try:
            self._them.lower()
        except OSError as error:
            raise FaultError(f"the limits of `{self.plan.target}` cannot be set: {error}") from error

    def effect(self) -> Proof:
        """Each limit is what was asked, and somebody is at it."""
        alive = self._them.alive()
        if not alive:
            return Proof(held=False, evidence="none of the processes whose limits were lowered is left")
        try:
            now = {process.pid: (soft_limit(process.pid), lowest_free(process.pid)) for process in alive}
        except OSError as error:
            return Proof(held=False, evidence=f"the processes cannot be looked at: {error}")
        other = [process for process in alive if now[process.pid][0] != process.lowered]
        full = [pid for pid, (limit, following) in now.items() if following >= limit]
        first = alive[0]
        evidence = (
            f"{len(alive) - len(other)} of {len(alive)} processes limited to what they have open and {self.plan.leave} more "
            f"(the first: {now[first.pid][0]}, before {first.soft}); in {len(full)} the next one fails with EMFILE"
        )
        held = not other and bool(full)
        return Proof(held=held, evidence=evidence, asked=first.lowered, measured=now[first.pid][0], unit="files")

    def revert(self) -> None:
        """Set them back."""
        if self._them.restore():
            carry_out(self.undo(), self.context.client)

    def gone(self) -> Proof:
        """No limit is lowered any more."""
        left = self._them.left()
        alive = self._them.alive()
        return Proof(
            held=not left,
            evidence=f"{len(left)} processes still limited"
            if left
            else f"the limits of {len(alive)} processes are what they were",
        )
