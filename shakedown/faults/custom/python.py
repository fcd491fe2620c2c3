"""custom-python: a class of the user's; each step is a process of its own."""

import dataclasses
import json
import secrets
import sys
import tempfile
from pathlib import Path

from shakedown.custom import Given
from shakedown.errors import FaultError, FaultRefusedError
from shakedown.faults.base import FaultContext
from shakedown.faults.custom.steps import CustomFault, run_here
from shakedown.guard.undo import CommandRun, Undo
from shakedown.plan.faults.custom import CustomPython
from shakedown.records.experiment import Proof

__all__ = ["PythonFault"]

START = 5.0  # seconds that the interpreter and our own modules get on top of the step's own


class PythonFault(CustomFault[CustomPython]):
    """The fault."""

    mechanism = "a Python class of the user's, each step in a process of its own"

    def __init__(self, plan: CustomPython, context: FaultContext) -> None:
        super().__init__(plan, context)
        self._tag = secrets.token_hex(4)

    @property
    def parameters(self) -> str:
        """For the report."""
        values = ", ".join(f"{name} {value}" for name, value in self.plan.parameters.items())
        return f"{self.plan.run} ({values})" if values else self.plan.run

    def ready(self) -> None:
        """The module is where the plan says, as far as a file shows that."""
        module = self.plan.run.partition(":")[0].partition(".")[0]
        if not (self.folder / f"{module}.py").is_file() and not (self.folder / module).is_dir():
            raise FaultRefusedError(f"there is no module `{module}` in the plan's folder, {self.folder}")
        if self.plan.target is not None and self.context.system.is_container(self.plan.target):
            self.context.running(self.plan.target)

    def _given(self, deadline: float = 0.0) -> Given:
        target = self.plan.target
        container = self.context.system.handle(target).container if target else None
        return Given(
            run=self.plan.run, folder=str(self.folder), parameters=self.plan.parameters, target=target or "",
            container=container or "", addresses=self.context.system.environment(), tag=self._tag,
            timeout=self.plan.timeout, deadline=deadline,
        )  # fmt: skip

    def _command(self, step: str, deadline: float = 0.0) -> list[str]:
        given = json.dumps(dataclasses.asdict(self._given(deadline)))
        return [sys.executable, "-m", "shakedown.custom", step, given]

    def _run(self, step: str, deadline: float = 0.0) -> Proof | None:
        with tempfile.TemporaryDirectory(prefix="shakedown-") as folder:
            result = Path(folder) / "result.json"
            ended = run_here(
                self.context, f"`{step}`", [*self._command(step, deadline), str(result)], cwd=self.folder,
                environment=self.variables(), timeout=self.plan.timeout + START,
            )  # fmt: skip
            if ended.code < 0:
                raise FaultError(f"`{step}` did not end within {self.plan.timeout:g} s, or was killed: {ended.said}")
            if ended.code:
                raise FaultError(f"`{step}` failed: {ended.said}")
            return Proof(**json.loads(result.read_text(encoding="utf-8"))) if result.is_file() else None

    def undo(self) -> Undo:
        """The class's own revert, which any process of this machine can call."""
        return CommandRun(
            command=self._command("revert"), cwd=str(self.folder), environment=self.variables(),
            timeout=self.plan.timeout + START,
        )  # fmt: skip

    def inject(self, deadline: float) -> None:
        """Call it."""
        self._run("inject", deadline)

    def _asked(self, step: str) -> Proof:
        proof = self._run(step)
        if proof is None:
            raise FaultError(f"`{step}` brought no proof")
        return proof

    def prove(self) -> Proof:
        """Call it."""
        return self._asked("proof")

    def prove_gone(self) -> Proof:
        """Call it, or the proof, which must say no."""
        return self._asked("gone")
