"""What an observer can see: counters and gauges of this process in the Prometheus text format, at /metrics."""

import asyncio
import os
import time
from collections import Counter, deque
from pathlib import Path
from typing import Callable

KEPT, STEP = 5.0, 0.05  # seconds
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class Metrics:
    """Counters and gauges; `readers` are asked when somebody looks."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, int]] = Counter()
        self.latency: Counter[float] = Counter()
        self.latency_sum = 0.0
        self.gauges: dict[str, float] = {}
        self.counters: Counter[str] = Counter()
        self.readers: list[Callable[[], dict[str, float]]] = [process_figures]

    def observe(self, route: str, status: int, seconds: float) -> None:
        """A request was answered."""
        self.requests[route, status] += 1
        self.latency_sum += seconds
        for bound in BUCKETS:
            if seconds <= bound:
                self.latency[bound] += 1

    def text(self) -> str:
        """All of it."""
        total = sum(self.requests.values())
        lines = ["# TYPE courier_requests_total counter"]
        lines += [
            f'courier_requests_total{{route="{route}",status="{status}"}} {n}'
            for (route, status), n in self.requests.items()
        ]
        lines.append("# TYPE courier_request_seconds histogram")
        lines += [f'courier_request_seconds_bucket{{le="{bound}"}} {self.latency[bound]}' for bound in BUCKETS]
        lines += [f'courier_request_seconds_bucket{{le="+Inf"}} {total}', f"courier_request_seconds_count {total}"]
        lines.append(f"courier_request_seconds_sum {self.latency_sum:.6f}")
        gauges = dict(self.gauges)
        for read in self.readers:
            gauges |= read()
        last = ""
        for name, value in sorted({**gauges, **self.counters}.items()):
            family = name.partition("{")[0]
            kind = "counter" if family.endswith("_total") else "gauge"
            lines += ([f"# TYPE {family} {kind}"] if family != last else []) + [f"{name} {value}"]
            last = family
        return "\n".join(lines) + "\n"


def process_figures() -> dict[str, float]:
    """This process as the kernel sees it."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    kinds = Counter(_target(name).partition(":")[0] for name in os.listdir("/proc/self/fd"))
    return {
        "process_resident_memory_bytes": float(pages * os.sysconf("SC_PAGE_SIZE")),
        "process_open_fds": float(kinds.total()),
        "open_sockets": float(kinds["socket"]),
        "regular_files_open": float(sum(count for kind, count in kinds.items() if kind.startswith("/"))),
    }


def _target(name: str) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{name}")
    except OSError:
        return "closed meanwhile"


METRICS = Metrics()
"""Those of this process."""


async def watch_the_loop() -> None:
    """Measure how late the event loop is: the worst of the last five seconds, however many look. What blocks it shows here."""
    lags: deque[tuple[float, float]] = deque(maxlen=round(KEPT / STEP))

    def read() -> dict[str, float]:
        since = time.monotonic() - KEPT
        return {"event_loop_lag_seconds": round(max((lag for at, lag in lags if at >= since), default=0.0), 4)}

    METRICS.readers.append(read)
    while True:
        begun = time.monotonic()
        await asyncio.sleep(STEP)
        now = time.monotonic()
        lags.append((now, now - begun - STEP))
