"""service-restart: the service is stopped and at once started again: the outage is the restart itself.

The injection returns when the service is down; a thread of its own starts it again. What is left of the hold time
is quiet.
"""

import threading
import time

from shakedown.errors import FaultError
from shakedown.faults.base import FaultContext
from shakedown.faults.service.target import Call
from shakedown.faults.service.whole import WholeServiceFault
from shakedown.plan.faults.service import ServiceRestart
from shakedown.records.experiment import Proof
from shakedown.units import format_duration

__all__ = ["RestartFault"]

START_LIMIT = 20.0


class RestartFault(WholeServiceFault[ServiceRestart]):
    """The fault."""

    mechanism = "a stop (SIGTERM, then SIGKILL), and at once a start: of a container by Docker, of a program by us"
    docker_mechanism = "Docker: stop (SIGTERM, then SIGKILL) and at once start"
    program_mechanism = "SIGTERM, then SIGKILL, to the program's whole tree, and at once a start"
    proof = "nobody answered at its ports while it was down, and it runs in another life than before"
    reversal = (
        "the start that is part of it, or else another one (of a program by its run alone, and ended with it); it runs, "
        "with image, environment and limits as before"
    )

    def __init__(self, plan: ServiceRestart, context: FaultContext) -> None:
        super().__init__(plan, context)
        self._starting: Call | None = None
        self._down_at = 0.0
        self._up_after: float | None = None
        self._silence: Proof | None = None
        self._given_up = threading.Event()

    @property
    def parameters(self) -> str:
        """For the report."""
        return f"grace {format_duration(self.plan.grace)}"

    def inject(self, deadline: float) -> None:  # noqa: ARG002 - the journal and the watchdog keep this deadline
        """Stop it; when it is down, let it be started."""
        self.target.stop(self.plan.grace)
        self._down_at = time.monotonic()
        if not self._given_up.is_set():
            self._starting = Call("the start after the stop", self._start)

    def _start(self) -> None:
        self._silence = self.target.unanswered(ports_only=True)
        self.target.start()
        self._up_after = time.monotonic() - self._down_at

    def _look(self) -> Proof:
        state = self.target.look()
        if self._up_after is None:
            if self._starting is not None:
                self._starting.check()
            return Proof(held=False, evidence=f"it is not up again yet: {state.words}")
        if state.life == self._life or self._silence is None:
            return Proof(held=False, evidence=f"it was never down: {state.words}")
        lasted = f"it was down for {format_duration(self._up_after)} until it was started again"
        return Proof(
            held=self._silence.held, evidence=f"{lasted} (meanwhile {self._silence.evidence}): {state.words}",
            measured=self._up_after, unit="s",
        )  # fmt: skip

    def _restore(self) -> None:
        self._given_up.set()
        if self._starting is not None and not self._starting.join(START_LIMIT):
            raise FaultError(f"the start of `{self.plan.target}` does not end")
        self.target.start()
