"""service-rolling-restart: services are restarted one after another, each healthy before the next.

A service that does not get healthy again ends the roll there: as a deployment would, it leaves the others alone.
"""

import threading
import time
from collections.abc import Iterator

from shakedown.errors import FaultError, ShakedownError
from shakedown.faults.base import Fault, FaultContext
from shakedown.faults.service.target import Target
from shakedown.faults.service.whole import target_of
from shakedown.guard.journal import Intent
from shakedown.guard.undo import Undo
from shakedown.plan.faults.service import ServiceRollingRestart
from shakedown.records.experiment import Proof
from shakedown.units import format_duration

__all__ = ["RollingRestartFault"]

END_WITHIN = 25.0


class RollingRestartFault(Fault[ServiceRollingRestart]):
    """The fault."""

    mechanism = "a stop (SIGTERM, then SIGKILL) and at once a start, one service after another: Docker, or ourselves"
    proof = "every service runs in another life than before; or the roll ended at one that did not get healthy"
    reversal = (
        "the roll ends after the service that is under way; each runs, with image, environment and limits as before"
    )

    def __init__(self, plan: ServiceRollingRestart, context: FaultContext) -> None:
        super().__init__(plan, context)
        self._targets: list[Target] = []
        self._lives: dict[str, str] = {}
        self._over = threading.Event()
        self._first_down = threading.Event()
        self._thread: threading.Thread | None = None
        self._done: list[str] = []  # in words
        self._stuck: str | None = None
        self._problem: str | None = None
        self._intents: dict[str, Intent] = {}

    @property
    def parameters(self) -> str:
        """For the report."""
        at_once = f", {self.plan.at_once} at once" if self.plan.at_once > 1 else ""
        return f"pause {format_duration(self.plan.pause)}, grace {format_duration(self.plan.grace)}{at_once}"

    def check(self) -> None:
        """Each of them is ours and runs."""
        self._targets = [target_of(self.context, name) for name in self.plan.targets]
        for target in self._targets:
            target.require()
            self._lives[target.name] = target.look().life
        self.layers = tuple(dict.fromkeys(layer for target in self._targets for layer in target.down_layers))

    def undo(self) -> Undo:
        """The first one started; each has an intent of its own before it is stopped."""
        return self._targets[0].undo_down()

    def inject(self, deadline: float) -> None:
        """Begin; returns when the first one is down."""
        self._thread = threading.Thread(target=self._roll, args=(deadline,), name="rolling-restart", daemon=True)
        self._thread.start()
        while not self._first_down.wait(0.002):
            if self._problem is not None:
                raise FaultError(self._problem)

    def _roll(self, deadline: float) -> None:
        try:
            for number, batch in enumerate(self._batches()):
                if (number and self._over.wait(self.plan.pause)) or self._over.is_set() or time.time() > deadline:
                    return
                failures: list[Exception] = []
                threads = [
                    threading.Thread(target=self._one, args=(target, deadline, failures), daemon=True)
                    for target in batch
                ]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
                if failures:
                    raise failures[0]
                if self._stuck is not None:
                    return
        except (ShakedownError, OSError) as error:
            self._problem = str(error)

    def _batches(self) -> Iterator[list[Target]]:
        for start in range(0, len(self._targets), self.plan.at_once):
            yield self._targets[start : start + self.plan.at_once]

    def _one(self, target: Target, deadline: float, failures: list[Exception]) -> None:
        try:
            self._intents[target.name] = self.context.journal.intend(
                "fault", f"{self.plan.type} on {target.name}", target.undo_down(), deadline
            )
            target.stop(self.plan.grace)
            down = time.monotonic()
            self._first_down.set()
            target.start()
            up = time.monotonic()
            healthy = target.await_health(self._over)
            words = f"{target.name} down for {format_duration(up - down)}"
            if healthy:
                self._done.append(f"{words}, healthy {format_duration(time.monotonic() - up)} later")
            elif not self._over.is_set():
                self._stuck = f"the roll ended at `{target.name}`, which did not get healthy again"
                self._done.append(words)
            else:
                self._done.append(f"{words}, not seen healthy yet")
        except Exception as error:  # noqa: BLE001 - carried over to the thread of the roll
            failures.append(error)

    def effect(self) -> Proof:
        """How far it came."""
        if self._problem is not None:
            raise FaultError(self._problem)
        wanted = len(self._targets)
        held = len(self._done) == wanted or self._stuck is not None
        words = "; ".join((*self._done, *([self._stuck] if self._stuck else [])))
        return Proof(
            held=held, evidence=words or "none is up again yet", asked=float(wanted), measured=float(len(self._done)),
            unit="services",
        )  # fmt: skip

    def revert(self) -> None:
        """End the roll, and see that each runs."""
        self._over.set()
        if self._thread is not None:
            self._thread.join(END_WITHIN)
            if self._thread.is_alive():
                raise FaultError("the rolling restart does not end")
        for target in self._targets:
            target.start()
        problem, self._problem = self._problem, None
        if problem is not None:
            raise FaultError(f"the roll ended before its time: {problem}")

    def gone(self) -> Proof:
        """Each runs, made of what it was made of before."""
        for target in self._targets:
            proof = target.restored()
            if not proof.held:
                return Proof(held=False, evidence=f"{target.name}: {proof.evidence}")
        for name in list(self._intents):
            self.context.journal.strike(self._intents.pop(name).id)
        return Proof(held=True, evidence=f"{len(self._targets)} run, made of what they were made of before")
