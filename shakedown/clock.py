"""The one time axis of a run.

Every sample, fault, probe and event carries seconds since the run began, on the machine's monotonic clock, which all
processes of one machine share; one wall-clock anchor per run turns them into dates. A wall clock that is set during a
run therefore moves nothing.
"""

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self

__all__ = ["RunClock"]


@dataclass(frozen=True, slots=True)
class RunClock:
    """The run's clock.

    Attributes:
        origin: `time.monotonic()` at the start of the run, seconds.
        wall: the date at that same instant, in UTC.
    """

    origin: float
    wall: datetime

    @classmethod
    def start(cls) -> Self:
        """Begin the time axis now."""
        return cls(origin=time.monotonic(), wall=datetime.now(UTC))

    def now(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self.origin

    def at(self, monotonic: float) -> float:
        """A `time.monotonic()` reading as seconds since the run began."""
        return monotonic - self.origin

    def monotonic(self, at: float) -> float:
        """The `time.monotonic()` reading at `at` seconds into the run."""
        return self.origin + at

    def date(self, at: float) -> datetime:
        """The date (UTC) at `at` seconds into the run."""
        return self.wall + timedelta(seconds=at)
