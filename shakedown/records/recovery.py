"""What was measured of a recovery, of health and alerts, and of comparisons of before with after."""

from dataclasses import dataclass

from shakedown.records.behaviour import BehaviourRecord
from shakedown.verdict import Verdict

__all__ = ["AlertTruth", "Comparison", "HealthTruth", "Moment", "PhaseStats", "RecoveryMeasurement"]


@dataclass(frozen=True, slots=True)
class Moment:
    """An instant on the run's axis, and the interval that it is known to lie in."""

    at: float
    earliest: float
    latest: float

    @property
    def width(self) -> float:
        """How well it is known, seconds."""
        return self.latest - self.earliest


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
    """Seconds in which a service's health and its clients agreed or not, during one experiment.

    Attributes:
        failing_and_unhealthy, healthy_while_failing, unhealthy_while_fine, fine_and_healthy: the confusion matrix. The
            second are false negatives (clients failed, health said all was well), the third false positives.
        unknown: seconds in which no request ended near by, or nothing was looked at: they say nothing.
        unhealthy_at: when it first said unhealthy; None: never.
        healthy_at: when it said healthy again after that, for good as far as it was watched; None: not, or never needed.
        changes: how often it changed its mind while the fault held, beyond the first unhealthy: 0 is steady.
        period: seconds from look to look.
    """

    service: str
    failing_and_unhealthy: float
    healthy_while_failing: float
    unhealthy_while_fine: float
    fine_and_healthy: float
    unknown: float = 0.0
    unhealthy_at: Moment | None = None
    healthy_at: Moment | None = None
    changes: int = 0
    period: float = 0.0


@dataclass(frozen=True, slots=True)
class AlertTruth:
    """What an alert did during one experiment, beside what clients saw: a confusion matrix in seconds, and delays.

    Attributes:
        fired_at: when it first fired after the injection; None: never.
        ended_at: when it ended after that, for good as far as it was watched; None: not, or it never fired.
        firing_before: whether it fired already when the fault was injected; then its delay says nothing.
        unknown: seconds in which it was not seen, or clients said nothing.
        problem: why it was not seen at all; empty when it was.
    """

    alert: str
    failing_and_firing: float
    silent_while_failing: float
    firing_while_fine: float
    fine_and_silent: float
    unknown: float = 0.0
    fired_at: Moment | None = None
    ended_at: Moment | None = None
    firing_before: bool = False
    changes: int = 0
    problem: str = ""


@dataclass(frozen=True, slots=True)
class RecoveryMeasurement:
    """How an experiment's fault was felt and overcome.

    Attributes:
        detected_after: first effect seen by clients minus injection, seconds; None: clients felt nothing.
        recovered_after: the begin of steady state minus revert, seconds; None: not seen.
        censored_at: the time watched without recovery, seconds after the revert; None when it recovered.
        resolution: both times are known to this many seconds; `effect` and `back` say it of each.
        error_seconds: time in which requests failed, from injection to the end of watching, seconds.
        problem: why recovery could not be judged.
        behaviour: how the system degraded, retried, cut off and took others down with it.
        effect, back: the instants of the first effect and of steady state.
        told, told_by: when the system's own health or an alert first told of it, and which did.
        relapses: how often it was well for half a second or more, after the revert, and failed again.
        doubt: why it cannot be said whether steady state came back.
        wrong: what was still wrong when the watching ended.
        worse: figures that were compared with the time before the fault, once steady state was back.
        alerts: what each alert did.
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
    effect: Moment | None = None
    back: Moment | None = None
    told: Moment | None = None
    told_by: str = ""
    relapses: int = 0
    doubt: str = ""
    wrong: tuple[str, ...] = ()
    worse: tuple[Comparison, ...] = ()
    alerts: tuple[AlertTruth, ...] = ()
