"""service-crash-loop: the service is killed again each time that it comes up, for the hold time.

::

    killed ── down ──▶ up ── `uptime` ──▶ killed ── down ──▶ up ── …

With a restart policy the engine brings it up, and waits longer each time: it is killed behind the engine's back, as by
an error of its own. Without one we start it, `downtime` after each kill.
"""

import threading
import time

from shakedown.errors import FaultError, ShakedownError
from shakedown.faults.base import FaultContext
from shakedown.faults.service.target import State
from shakedown.faults.service.whole import WholeServiceFault
from shakedown.plan.faults.service import ServiceCrashLoop
from shakedown.records.experiment import Proof
from shakedown.units import format_duration

__all__ = ["CrashLoopFault"]

LOOK_EVERY = 0.05
ENOUGH = 2  # kills: one is not a loop
END_WITHIN = 20.0


class CrashLoopFault(WholeServiceFault[ServiceCrashLoop]):
    """The fault."""

    mechanism = (
        "SIGKILL each time that it is up; containers with a restart policy are killed behind the engine's back, which "
        "brings them up, and others are started by us, as programs are"
    )
    docker_mechanism = "Docker: SIGKILL to the container's first process, and a start by us"
    program_mechanism = "SIGKILL to the program's whole tree, and a start by us"
    proof = "killed at least twice, up in another life between"
    reversal = (
        "no more kills, and started (a program by its run alone, and ended with it); it runs, with image, environment and "
        "limits as before"
    )

    def __init__(self, plan: ServiceCrashLoop, context: FaultContext) -> None:
        super().__init__(plan, context)
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self._by_engine = False
        self._kills = 0
        self._lives: set[str] = set()
        self._problem: str | None = None

    @property
    def parameters(self) -> str:
        """For the report."""
        return f"up for {format_duration(self.plan.uptime)}, down for {format_duration(self.plan.downtime)}"

    def check(self) -> None:
        """It runs; with a restart policy, there is a way behind the engine's back."""
        super().check()
        policy = self.target.restart_policy
        self._by_engine = policy != "no"
        if self._by_engine:
            self.mechanism = f"{self.target.prepare_crash()}; brought up by its restart policy `{policy}`"

    def inject(self, deadline: float) -> None:
        """The first kill; the others come from a thread of its own."""
        self._kill()
        self._thread = threading.Thread(target=self._loop, args=(deadline,), name="crash-loop", daemon=True)
        self._thread.start()

    def _kill(self) -> None:
        self._lives.add(self.target.look().life)
        if not self.target.kill("SIGKILL", crash=self._by_engine):
            raise FaultError("it does not end although it was killed")
        self._kills += 1

    def _loop(self, deadline: float) -> None:
        try:
            while time.time() < deadline and not self.context.ending:
                if not self._by_engine:
                    if self._over.wait(self.plan.downtime):
                        return
                    self.target.start()
                while self._waiting(self.target.look()):
                    if self._over.wait(LOOK_EVERY):
                        return
                if self._over.wait(self.plan.uptime):
                    return
                self._kill()
        except (ShakedownError, OSError) as error:
            if not self._over.is_set():
                self._problem = f"the loop ended after {self._kills} kills: {error}"

    def _waiting(self, state: State) -> bool:
        return state.status != "running" or state.life in self._lives

    def _look(self) -> Proof:
        words = f"killed {self._kills} times, up again in {max(len(self._lives) - 1, 0)} other lives"
        if self._problem is not None:
            return Proof(held=False, evidence=f"{words}; {self._problem}", measured=float(self._kills))
        held = self._kills >= ENOUGH and len(self._lives) >= ENOUGH
        return Proof(held=held, evidence=words, measured=float(self._kills), unit="kills")

    def _early(self, state: State) -> str | None:  # noqa: ARG002 - up or down, both belong to it
        return self._problem

    def _restore(self) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join(END_WITHIN)
            if self._thread.is_alive():
                raise FaultError("the loop of kills does not end")
        self.target.start()

    def gone(self) -> Proof:
        """It runs and nobody kills it any more; how often it was killed in the end."""
        proof = self.target.restored()
        return Proof(held=proof.held, evidence=f"killed {self._kills} times in all; {proof.evidence}")
