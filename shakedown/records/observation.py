"""What was seen of the system and its surroundings."""

from dataclasses import dataclass

__all__ = ["Event", "ProbeResult", "Sample"]


@dataclass(frozen=True, slots=True)
class Sample:
    """One value of one series.

    Sources are services' names, `host`, `shakedown` (the observer itself). Series: `memory` (bytes, without page
    cache), `memory_anon`, `memory_with_cache`, `memory_uss`, `memory_pss`, `cpu` (cores), `pids`, `open_files`, `threads`, `network_rx`, `network_tx`,
    `block_read`, `block_write` (bytes, cumulative), `context_switches` (cumulative), `sockets_established`,
    `sockets_close_wait`, `sockets_time_wait`, `restarts`, `oom_kills`, Prometheus names, the plan's own probes; of
    `shakedown` also `observer_cpu` (cores) and `observer_memory` (bytes, of the process that it lives in).
    """

    at: float
    source: str
    series: str
    value: float


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """One look at a service's health."""

    at: float  # when the look began
    service: str
    healthy: bool
    latency: float  # seconds
    detail: str  # status line or error, at most 200 characters


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, for the timeline.

    Kinds: `stage.start`, `stage.end`, `service.healthy`, `fault.injected`, `fault.reverted`, `sampler.failed`,
    `sampler.recovered`.
    """

    at: float
    kind: str
    subject: str
    message: str
