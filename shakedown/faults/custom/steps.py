"""What custom faults have in common: steps of the user's own, each bounded in time, and what they say."""

import json
import os
import tempfile
import time
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from shakedown.errors import FaultError, FaultRefusedError
from shakedown.faults.base import Fault, FaultContext
from shakedown.guard.process import start_program
from shakedown.guard.undo import carry_out
from shakedown.plan.faults.custom import CustomCommand, CustomPython
from shakedown.records.experiment import Proof

__all__ = ["YES_NO", "CustomFault", "Ended", "proof_of", "run_here"]

C = TypeVar("C", bound=CustomCommand | CustomPython)

YES_NO = {0: True, 1: False}  # exit codes of a proof; anything else is an error
_SHOWN = 300
_LOOK_EVERY = 0.02


@dataclass(frozen=True, slots=True)
class Ended:
    """How a step ended, and what it said."""

    code: int
    output: str

    @property
    def said(self) -> str:
        """Its last words."""
        return " ".join(self.output.split())[-_SHOWN:] or f"exit code {self.code}"


def run_here(
    context: FaultContext, what: str, command: Sequence[str], *, cwd: Path, environment: Mapping[str, str],
    timeout: float,
) -> Ended:  # fmt: skip
    """Run a step on this machine: in a session of its own, with its undo in the journal, and ended when it is late.

    Raises:
        FaultError: there is no such program, or it did not end in time.
    """
    with tempfile.TemporaryFile() as output:  # no pipe: what a step leaves running would hold that open
        try:
            process, intent = start_program(
                context.journal, what, command, cwd=cwd, environment={**os.environ, **environment}, output=output,
                grace=0.2,
            )  # fmt: skip
        except OSError as error:
            raise FaultError(f"{what} cannot be run: {error}") from error
        until = time.monotonic() + timeout
        while (code := process.poll()) is None and time.monotonic() < until:
            time.sleep(_LOOK_EVERY)
        if code is None:
            carry_out(intent.undo, None)
            process.wait(5)
            context.journal.strike(intent.id)
            raise FaultError(f"{what} did not end within {timeout:g} s")
        context.journal.strike(intent.id)
        output.seek(0)
        return Ended(code, output.read().decode(errors="replace"))


def proof_of(*, held: bool, output: str) -> Proof:
    """What a proof says: its last line may be a JSON object with evidence, asked, measured and unit."""
    *_, last = output.strip().splitlines() or [""]
    try:
        found = json.loads(last)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        said = " ".join(output.split())[-_SHOWN:]
        return Proof(held=held, evidence=said or f"its command says {'yes' if held else 'no'}")

    def number(name: str) -> float | None:
        value = found.get(name)
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None

    return Proof(
        held=held, evidence=str(found.get("evidence", last))[-_SHOWN:], asked=number("asked"),
        measured=number("measured"), unit=str(found.get("unit", "")),
    )  # fmt: skip


class CustomFault(Fault[C]):
    """A fault whose steps are the user's. A proof that says yes before the injection proves nothing, and is refused."""

    proof = "the user's own proof, which must say no before the injection"
    reversal = "the user's own revert"

    def check(self) -> None:
        """Everything is there, and the proofs say that the fault is not in effect."""
        self.ready()
        try:
            before, gone = self.prove(), self.prove_gone()
        except FaultError as error:
            raise FaultRefusedError(f"before the injection: {error}") from error
        if before.held:
            raise FaultRefusedError(
                f"its proof says yes before the injection, so it would prove nothing: {before.evidence}"
            )
        if not gone.held:
            raise FaultRefusedError(f"its `gone` says no before the injection: {gone.evidence}")

    @abstractmethod
    def ready(self) -> None:
        """See that the steps can be run."""

    @abstractmethod
    def prove(self) -> Proof:
        """Run the proof."""

    @abstractmethod
    def prove_gone(self) -> Proof:
        """Run the proof of absence."""

    def effect(self) -> Proof:
        """What the proof says."""
        return self.prove()

    def still(self) -> Proof | None:
        """The same proof again."""
        return self.effect()

    def revert(self) -> None:
        """Run the revert, as any other process would."""
        carry_out(self.undo(), self.context.client if self.context.system.client is not None else None)

    def gone(self) -> Proof:
        """What the proof of absence says."""
        return self.prove_gone()

    # ------------------------------------------------------------------------------------------------- for the steps
    @property
    def folder(self) -> Path:
        """The plan's folder."""
        return self.context.system.base.resolve()

    def variables(self) -> dict[str, str]:
        """What steps on this machine find in their environment: services' addresses, and the target's container."""
        target = self.plan.target
        container = self.context.system.handle(target).container if target else None
        found = self.context.system.environment()
        return {**found, "SHAKEDOWN_CONTAINER": container} if container else found
