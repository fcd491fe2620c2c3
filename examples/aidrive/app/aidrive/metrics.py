"""What an observer sees: counters and gauges of this process in the Prometheus text format."""

import asyncio
import os
import time
from bisect import bisect_left
from collections import Counter, deque
from pathlib import Path
from typing import Callable

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
KEPT, STEP = 5.0, 0.05  # seconds


class Metrics:
    """Counters, the time of requests, and gauges that are read when somebody looks."""

    def __init__(self) -> None:
        self.counters: Counter[str] = Counter()
        self.readers: list[Callable[[], dict[str, float]]] = [_process]
        self._times = [0] * (len(BUCKETS) + 1)
        self._seconds = 0.0

    def observe(self, seconds: float) -> None:
        """A request was served."""
        self._times[bisect_left(BUCKETS, seconds)] += 1
        self._seconds += seconds

    def text(self) -> str:
        """All of it."""
        gauges: dict[str, float] = {}
        for read in self.readers:
            gauges |= read()
        lines: list[str] = []
        for kind, values in (("counter", self.counters), ("gauge", gauges)):
            last = ""
            for name, value in sorted(values.items()):
                family = name.partition("{")[0]
                lines += [f"# TYPE {family} {kind}"] if family != last else []
                lines.append(f"{name} {value}")
                last = family
        reached = 0
        lines.append("# TYPE request_seconds histogram")
        for bound, count in zip((*BUCKETS, "+Inf"), self._times):
            reached += count
            lines.append(f'request_seconds_bucket{{le="{bound}"}} {reached}')
        return (
            "\n".join([*lines, f"request_seconds_sum {self._seconds:.6f}", f"request_seconds_count {reached}"]) + "\n"
        )


def _process() -> dict[str, float]:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {
        "process_resident_memory_bytes": float(pages * os.sysconf("SC_PAGE_SIZE")),
        "process_open_fds": float(len(os.listdir("/proc/self/fd"))),
        "process_cpu_seconds": time.process_time(),
    }


METRICS = Metrics()
"""Those of this process."""


async def watch_the_loop() -> None:
    """Measure how late the event loop is: the worst of the last five seconds. What blocks it shows here."""
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
