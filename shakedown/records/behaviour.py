"""How the system behaved during one experiment, beyond failing and coming back."""

from dataclasses import dataclass

__all__ = ["BehaviourRecord", "BreakerSeen", "CallsSeen", "Fall", "PhaseCalls", "Served", "Wait"]


@dataclass(frozen=True, slots=True)
class Served:
    """What clients got of one request in one phase (before, during, after), by intended start.

    Attributes:
        full: good answers without the marker of a degraded one.
        degraded: good answers with it.
        failed: failed or timed out.
        p95: of good answers and time-outs, seconds; None without any.
        marked: whether the plan says how a degraded answer is told; if not, `degraded` is 0 and says nothing.
        core: whether the plan calls it a core function in this experiment.
    """

    request: str
    phase: str
    full: int
    degraded: int
    failed: int
    p95: float | None = None
    marked: bool = False
    core: bool = False

    @property
    def total(self) -> int:
        """Requests whose outcome the system decided."""
        return self.full + self.degraded + self.failed

    @property
    def share(self) -> float | None:
        """The share that was served, in full or degraded; None when nothing was asked."""
        return (self.full + self.degraded) / self.total if self.total else None


@dataclass(frozen=True, slots=True)
class Wait:
    """The longest wait of a client in one second of intended starts, from the actual send.

    Attributes:
        seconds: at least so long, when `outcome` is `timed_out`: then the client gave up.
    """

    request: str
    at: float
    seconds: float
    outcome: str


@dataclass(frozen=True, slots=True)
class PhaseCalls:
    """Calls at a dependency in one phase.

    Attributes:
        calls: so many, in the `seconds` of the phase that were sampled; None when too few of them were.
        per_request: calls for each request of a client; None when it cannot be said.
        peak: the highest rate between two samples, calls per second.
    """

    phase: str
    start: float
    end: float
    calls: float | None = None
    seconds: float = 0.0
    per_request: float | None = None
    peak: float | None = None


@dataclass(frozen=True, slots=True)
class CallsSeen:
    """Calls that arrived at (or were made to) one dependency.

    Attributes:
        source: the series that they were counted with.
        resolution: seconds between two samples.
        during_times, after_times: calls per request against those before; after the fault without what was only late.
        herd_times: the highest rate of the first seconds after the revert against the rate before.
        at_once: the most calls at once in those seconds, where the plan says what counts them.
        at_once_earlier: that is a peak ever since, reached before the revert: in those seconds there were at most so many.
        unknown: what cannot be said, and why.
    """

    dependency: str
    source: str
    resolution: float
    phases: tuple[PhaseCalls, ...] = ()
    during_times: float | None = None
    after_times: float | None = None
    herd_times: float | None = None
    at_once: float | None = None
    unknown: str = ""
    at_once_earlier: bool = False


@dataclass(frozen=True, slots=True)
class BreakerSeen:
    """A circuit breaker in front of one dependency.

    Attributes:
        told: the transitions by the caller's own metrics, as (instant, state); empty where there are none.
        opened_at: when it opened, by its metrics if there are any, else by the calls; None: it did not.
        closed_at: when it closed again.
        probes: calls that went through while it was open, at least; None when calls were not counted.
        open_share: calls while it was open, as a share of those that were due; None when calls were not counted.
        late_share: calls in the second half of the fault, as a share of those that were due.
        unknown: what cannot be said, and why.
    """

    dependency: str
    told: tuple[tuple[float, str], ...] = ()
    opened_at: float | None = None
    closed_at: float | None = None
    probes: float | None = None
    open_share: float | None = None
    late_share: float | None = None
    unknown: str = ""


@dataclass(frozen=True, slots=True)
class Fall:
    """One service that fell while, or after, another was disturbed.

    Attributes:
        what: unhealthy, restarted, killed for memory, memory at its limit, open files at their limit, slower.
        expected: it was disturbed itself, or depends on what was, or the plan says that it may fall.
        resolution: `at` is known to this many seconds.
    """

    at: float
    service: str
    what: str
    detail: str = ""
    expected: bool = False
    resolution: float = 1.0


@dataclass(frozen=True, slots=True)
class BehaviourRecord:
    """What was measured of an experiment's behaviour; stored within the experiment's `RecoveryMeasurement`.

    Every field has a default, so that what an earlier version stored can still be read.

    Attributes:
        waits: the slowest, longest first.
        longest: the limit that the plan gives a client's wait, seconds.
        falls: in order of time.
        metastable: why the trouble keeps itself up although the fault is gone; empty when it does not.
    """

    served: tuple[Served, ...] = ()
    waits: tuple[Wait, ...] = ()
    longest: float | None = None
    calls: tuple[CallsSeen, ...] = ()
    breakers: tuple[BreakerSeen, ...] = ()
    falls: tuple[Fall, ...] = ()
    metastable: str = ""
