"""Circuit breakers: what keeps a service from waiting for another that is in trouble.

::

    closed ──5 failures──▶ open ──2 s──▶ half-open ──success──▶ closed
                            ▲                │
                            └────failure─────┘
"""

import random
import time

from aidrive import defects
from aidrive.metrics import METRICS

FAILURES, OPEN_FOR = 5, 2.0
CLOSED, HALF_OPEN, OPEN = 0, 1, 2
NAMES = ("closed", "half-open", "open")


class Breaker:
    """Opens after failures in a row; after a while lets one call through; closes when that succeeds."""

    def __init__(self, dependency: str) -> None:
        self._name, self._state, self._failures = dependency, CLOSED, 0
        self._until = self._asked = 0.0
        for name in NAMES:
            METRICS.counters[f'circuit_transitions_total{{dependency="{dependency}",to="{name}"}}'] = 0
        METRICS.readers.append(lambda: {f'circuit_state{{dependency="{dependency}"}}': self._state})

    def allows(self) -> bool:
        """Whether a call may be made now."""
        now = time.monotonic()
        if self._state == OPEN and now >= self._until:
            self._go(HALF_OPEN)
            self._asked = 0.0
        if self._state == HALF_OPEN and now - self._asked >= OPEN_FOR:  # one call, and another if that one got lost
            self._asked = now
            return True
        return self._state == CLOSED

    def note(self, *, ok: bool) -> None:
        """What came of a call; of one made before the circuit opened nothing more is learned."""
        if defects.on("no-breaker") or self._state == OPEN:
            return
        if ok:
            self._failures = 0
            self._go(CLOSED)
            return
        self._failures += 1
        if self._failures >= FAILURES or self._state == HALF_OPEN:
            self._failures = 0
            self._until = time.monotonic() + OPEN_FOR * random.uniform(0.9, 1.1)
            self._go(OPEN)

    def _go(self, state: int) -> None:
        if state != self._state:
            self._state = state
            METRICS.counters[f'circuit_transitions_total{{dependency="{self._name}",to="{NAMES[state]}"}}'] += 1
