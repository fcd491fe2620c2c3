"""What the faults of whole services have in common."""

from abc import abstractmethod
from typing import TypeVar

from shakedown.errors import FaultError, FaultRefusedError
from shakedown.faults.base import Fault, FaultContext
from shakedown.faults.service.container import ContainerTarget
from shakedown.faults.service.program import ProgramTarget
from shakedown.faults.service.target import State, Target
from shakedown.guard.undo import Undo
from shakedown.plan.faults import OnService
from shakedown.records.experiment import Proof
from shakedown.services.process import ProcessRunner

__all__ = ["Downed", "WholeServiceFault", "target_of"]

P = TypeVar("P", bound=OnService)


def target_of(context: FaultContext, name: str) -> Target:
    """A service to be taken down and brought back.

    Raises:
        FaultRefusedError: it is none of ours.
    """
    runner = context.system.runner(name)
    if isinstance(runner, ProcessRunner):
        return ProgramTarget(context, name, runner)
    if runner is None:
        raise FaultRefusedError(f"`{name}` was not started by this run: we can neither end nor start it")
    return ContainerTarget(context, name)


class WholeServiceFault(Fault[P]):
    """A fault of one whole service.

    Whoever else starts or restarts the service meanwhile ends the fault before its time: that is told as an error, and
    the experiment does not pass.
    """

    docker_mechanism: str
    program_mechanism: str

    def __init__(self, plan: P, context: FaultContext) -> None:
        super().__init__(plan, context)
        self._target: Target | None = None
        self._life = ""
        self._held = False
        self._told = False

    @property
    def target(self) -> Target:
        """The service, once it was looked at."""
        if self._target is None:
            raise FaultError("the service was never looked at")
        return self._target

    def check(self) -> None:
        """The service is ours and runs; what it is made of, and which of its lives it is, is noted."""
        target = self._target = target_of(self.context, self.plan.target)
        docker = isinstance(target, ContainerTarget)
        self.mechanism = self.docker_mechanism if docker else self.program_mechanism
        self.layers = target.down_layers
        target.require()
        self._life = target.look().life

    def undo(self) -> Undo:
        """A start; harmless when it runs."""
        return self.target.undo_down()

    def effect(self) -> Proof:
        """Look; once seen, it is expected to last."""
        proof = self._look()
        self._held = self._held or proof.held
        return proof

    @abstractmethod
    def _look(self) -> Proof:
        """Whether it took effect."""

    def revert(self) -> None:
        """Bring it back; tell when somebody else was quicker."""
        early = self._ended_early() if self._held and not self._told else None
        self._told = True
        self._restore()
        if early is not None:
            raise FaultError(f"the fault ended before its time: {early}")

    def _restore(self) -> None:
        self.target.start()

    def _ended_early(self) -> str | None:
        """Why the fault, once in effect, is so no more; None when it is."""
        try:
            state = self.target.look()
        except FaultError:  # gone altogether: the proof of absence says so
            return None
        return self._early(state)

    def _early(self, state: State) -> str | None:  # noqa: ARG002 - subclasses look
        return None

    def gone(self) -> Proof:
        """It runs, made of what it was made of before."""
        return self.target.restored()

    def close(self) -> None:
        """Let go of what was made ready."""
        if self._target is not None:
            self._target.close()


class Downed(WholeServiceFault[P]):
    """A service that does not run, and is started again."""

    proof = "it does not run, and nobody answers at its ports"
    reversal = (
        "started again (a program by its run alone, and ended with it); it runs, with image, environment and limits as "
        "before"
    )

    def _look(self) -> Proof:
        state = self.target.look()
        if state.status in ("running", "restarting") and state.life != self._life:
            policy = self.target.restart_policy
            return Proof(
                held=False, evidence=f"it was ended, and is up again by its restart policy `{policy}`: {state.words}"
            )
        return self.target.down()

    def _early(self, state: State) -> str | None:
        return None if state.status == "down" else f"somebody started the service again ({state.words})"

    def gone(self) -> Proof:
        """It runs, in another life than before, made of what it was made of before."""
        proof = self.target.restored()
        if proof.held and self.target.look().life == self._life:
            return Proof(held=True, evidence=f"it was never down: {proof.evidence}")
        return proof
