"""custom-command: commands of the user's, in the target's container or on this machine."""

import time
from pathlib import Path

from shakedown.errors import FaultError, FaultRefusedError
from shakedown.faults.base import FaultContext
from shakedown.faults.custom.steps import YES_NO, CustomFault, Ended, proof_of, run_here
from shakedown.faults.databases.inside import Inside
from shakedown.guard.undo import CommandRun, ContainerExec, Undo
from shakedown.plan.faults.custom import Command, CustomCommand
from shakedown.records.experiment import Proof

__all__ = ["CommandFault"]

_ENDED_BY_TIMEOUT = (124, 137)


class CommandFault(CustomFault[CustomCommand]):
    """The fault."""

    mechanism = "the user's command, in the target's container or on this machine"

    def __init__(self, plan: CustomCommand, context: FaultContext) -> None:
        super().__init__(plan, context)
        container = plan.target is not None and context.system.is_container(plan.target)
        self._inside = Inside(context, plan.target or "", plan.user)
        self._on_host = plan.run_on == "host" or not container

    @property
    def parameters(self) -> str:
        """For the report: the first line of what injects it."""
        return " ".join(self._words(self.plan.inject)[-1 if isinstance(self.plan.inject, str) else 0 :]).splitlines()[
            0
        ][:80]

    @staticmethod
    def _words(command: Command) -> list[str]:
        return ["sh", "-c", command] if isinstance(command, str) else command

    @property
    def _cwd(self) -> Path:
        return self.folder / self.plan.cwd

    def _bounded(self, command: Command) -> list[str]:
        """A command that is ended in the container itself when it is late."""
        return ["timeout", "-s", "KILL", f"{self.plan.timeout:g}", *self._words(command)]

    def ready(self) -> None:
        """There is a container with `timeout` in it, or the folder on this machine."""
        if self._on_host:
            self.mechanism = "the user's command on this machine"
            if not self._cwd.is_dir():
                raise FaultRefusedError(f"there is no folder {self._cwd} to run commands in")
            return
        self.mechanism = "the user's command in the target's container"
        self._inside.check()
        if self._inside.run(["timeout", "1", "true"]).code:
            raise FaultRefusedError(
                f"the container of `{self.plan.target}` has no `timeout`, which ends a command that hangs",
                hint="say `run_on: host`, or add coreutils to its image",
            )

    def _run(self, step: str, command: Command, **more: str) -> Ended:
        environment = {**self.plan.environment, **more}
        if self._on_host:
            return run_here(
                self.context, f"`{step}`", self._words(command), cwd=self._cwd,
                environment={**self.variables(), **environment}, timeout=self.plan.timeout,
            )  # fmt: skip
        begun = time.monotonic()
        answer = self._inside.run(self._bounded(command), environment, self.plan.cwd or None)
        if answer.code in _ENDED_BY_TIMEOUT and time.monotonic() - begun >= self.plan.timeout:
            raise FaultError(f"`{step}` did not end within {self.plan.timeout:g} s")
        return Ended(answer.code, answer.output + answer.errors)

    def undo(self) -> Undo:
        """The revert; in a container that does not run, it is still to be done."""
        if self._on_host:
            return CommandRun(
                command=self._words(self.plan.revert), cwd=str(self._cwd), timeout=self.plan.timeout,
                environment={**self.variables(), **self.plan.environment},
            )  # fmt: skip
        return ContainerExec(
            container=self._inside.container, command=self._bounded(self.plan.revert), user=self.plan.user,
            environment=self.plan.environment, workdir=self.plan.cwd, lasting=True,
        )  # fmt: skip

    def inject(self, deadline: float) -> None:
        """Run it; `SHAKEDOWN_DEADLINE` is for those that can end by themselves."""
        ended = self._run("inject", self.plan.inject, SHAKEDOWN_DEADLINE=f"{deadline:.0f}")
        if ended.code:
            raise FaultError(f"`inject` ended with {ended.code}: {ended.said}")

    def _asked(self, step: str, command: Command) -> Proof:
        ended = self._run(step, command)
        if ended.code not in YES_NO:
            raise FaultError(f"`{step}` ended with {ended.code}, neither 0 (yes) nor 1 (no): {ended.said}")
        return proof_of(held=YES_NO[ended.code], output=ended.output)

    def prove(self) -> Proof:
        """Exit code 0 is yes."""
        return self._asked("proof", self.plan.proof)

    def prove_gone(self) -> Proof:
        """The plan's own command, or a proof that says no."""
        if self.plan.gone is not None:
            return self._asked("gone", self.plan.gone)
        proof = self.prove()
        return Proof(held=not proof.held, evidence=proof.evidence, asked=None, measured=proof.measured, unit=proof.unit)
