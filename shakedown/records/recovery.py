"""What was measured of a recovery, of health, and of the comparison with the baseline."""

from dataclasses import dataclass

from shakedown.records.behaviour import BehaviourRecord
from shakedown.verdict import Verdict

__all__ = ["Comparison", "HealthTruth", "PhaseStats", "RecoveryMeasurement"]


@dataclass(frozen=True, slots=True)
class PhaseStats:
    """What clients saw in one phase of an experiment, by intended start."""

    phase: str  # before, during, after
    start: float
    end: float
    requests: int
    error_rate: float | None
    p50: float | None
    p95: float | None
    p99: float | None


@dataclass(frozen=True, slots=True)
class HealthTruth:
    """Seconds in which a service's health and its clients agreed or not, during one experiment."""

    service: str
    failing_and_unhealthy: float
    healthy_while_failing: float  # false negatives: clients failed, health said all was well
    unhealthy_while_fine: float  # false positives
    fine_and_healthy: float


@dataclass(frozen=True, slots=True)
class RecoveryMeasurement:
    """How an experiment's fault was felt and overcome.

    Attributes:
        detected_after: first effect seen by clients minus injection, seconds; None: clients felt nothing.
        recovered_after: start of the first window of steady state minus revert, seconds; None: not seen.
        censored_at: the time watched without recovery, seconds after the revert; None when it recovered.
        resolution: both times are known to this many seconds.
        error_seconds: time in which requests failed, from injection to the end of watching, seconds.
        problem: why recovery could not be judged.
        behaviour: how the system degraded, retried, cut off and took others down with it.
    """

    experiment: str
    detected_after: float | None
    recovered_after: float | None
    censored_at: float | None
    resolution: float
    error_seconds: float
    phases: tuple[PhaseStats, ...] = ()
    health: tuple[HealthTruth, ...] = ()
    problem: str | None = None
    behaviour: BehaviourRecord | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """One figure before and after."""

    subject: str
    metric: str
    unit: str  # "s", "B", "%", "/s"
    before: float | None
    after: float | None
    tolerance: float  # the relative change that is allowed (for error_rate: the absolute one)
    verdict: Verdict
    samples: int
    reason: str = ""

    @property
    def change(self) -> float | None:
        """The relative change; None when it cannot be formed."""
        if self.before is None or self.after is None or self.before == 0:
            return None
        return self.after / self.before - 1
