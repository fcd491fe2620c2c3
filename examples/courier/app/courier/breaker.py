"""What keeps a service from hammering another that is in trouble: a circuit breaker, and a budget for retries."""

import random
import time

from courier import defects
from courier.metrics import METRICS

OPEN_AFTER, OPEN_FOR = 5, 5.0
CLOSED, HALF_OPEN, OPEN = 0, 1, 2
NAMES = ("closed", "half-open", "open")


class Breaker:
    """Opens after several failures in a row; lets one call through after a while; closes when that succeeds.

    ::

        closed ──failures──▶ open ──a while──▶ half-open ──success──▶ closed
                              ▲                    │
                              └──────failure───────┘
    """

    def __init__(self, name: str, open_for: float = OPEN_FOR) -> None:
        self.name = name
        self._state, self._failures, self._open_for = CLOSED, 0, open_for
        self._until = self._probed_at = 0.0
        METRICS.readers.append(lambda: {f'circuit_state{{dependency="{name}"}}': self._state})

    @property
    def closed(self) -> bool:
        """Whether calls are made as usual."""
        return self._state == CLOSED

    def allows(self) -> bool:
        """Whether a call may be made now."""
        now = time.monotonic()
        if self._state == OPEN and now >= self._until:
            self._go(HALF_OPEN)
            self._probed_at = 0.0
        if self._state == HALF_OPEN and now - self._probed_at >= self._open_for:  # one call, or one more if it got lost
            self._probed_at = now
            return True
        return self._state == CLOSED

    def note(self, *, ok: bool) -> None:
        """What came of a call; of one made before the circuit opened nothing more is learned."""
        if defects.on("no-breaker"):
            return
        if ok and self._state != OPEN:
            self._failures = 0
            self._go(CLOSED)
        elif not ok and self._state != OPEN:
            self._failures += 1
            if self._failures >= OPEN_AFTER or self._state == HALF_OPEN:
                self._until = time.monotonic() + self._open_for * random.uniform(0.9, 1.1)
                self._go(OPEN)

    def _go(self, state: int) -> None:
        if state != self._state:
            self._state = state
            METRICS.counters[f'circuit_transitions_total{{dependency="{self.name}",to="{NAMES[state]}"}}'] += 1


class Budget:
    """Retries may be a tenth of all calls, and a few more: when everything fails, trying again only adds to the trouble."""

    def __init__(self, share: float = 0.1, spare: float = 10.0) -> None:
        self._share, self._spare, self._left = share, spare, spare

    def called(self) -> None:
        """A first attempt was made."""
        self._left = min(self._spare, self._left + self._share)

    def take(self) -> bool:
        """Whether one more retry is within the budget."""
        if self._left < 1:
            return False
        self._left -= 1
        return True


def back_off(attempt: int, base: float = 0.05) -> float:
    """How long to wait after the attempt of this number (from 0): doubling, and never two callers in step."""
    return base * 2**attempt * random.uniform(0.5, 1.5)
