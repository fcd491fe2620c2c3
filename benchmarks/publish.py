"""Where a benchmark was measured, and its table put where it belongs in benchmarks/README.md."""  # noqa: INP001

import os
import platform
from datetime import UTC, datetime
from pathlib import Path

__all__ = ["machine", "publish"]

README = Path(__file__).with_name("README.md")


def machine(busy: float) -> str:
    """Where and when this was measured, and how quiet it was.

    Args:
        busy: what other programs used of the machine before it began, a fraction.
    """
    name = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    load = "/".join(f"{value:.1f}" for value in os.getloadavg())
    return (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {name}, {len(os.sched_getaffinity(0))} cores, {platform.system()} "
        f"{platform.release()}, Python {platform.python_version()}. Before it began other programs used {busy:.0%} of the "
        f"machine; load average at the end {load}."
    )


def publish(begin: str, end: str, text: str) -> None:
    """Put a table between its marks."""
    head, _, rest = README.read_text(encoding="utf-8").partition(begin)
    _, _, tail = rest.partition(end)
    README.write_text(f"{head}{begin}\n{text}\n{end}{tail}", encoding="utf-8")
