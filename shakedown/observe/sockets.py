"""TCP sockets by state, as the kernel lists them for a network namespace (Linux)."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

__all__ = ["SERIES", "count_states", "sockets_of"]

# The states that say something: in use, ended by the other side and never by ours (a leak), waiting out old packets.
SERIES = {"01": "sockets_established", "08": "sockets_close_wait", "06": "sockets_time_wait"}
_STATE = 3  # the column


def sockets_of(pid: int) -> dict[str, float]:
    """Of the namespace that a process lives in; empty where it cannot be read (other systems, other users' processes)."""
    lines: list[str] = []
    read = False
    for table in ("tcp", "tcp6"):
        try:
            lines += Path(f"/proc/{pid}/net/{table}").read_text(encoding="ascii").splitlines()[1:]
            read = True
        except OSError:
            continue
    return count_states(lines) if read else {}


def count_states(lines: Iterable[str]) -> dict[str, float]:
    """How many lines of /proc/net/tcp, without its heading, are in each of the states."""
    states = Counter(columns[_STATE] for line in lines if len(columns := line.split()) > _STATE)
    return {series: float(states[state]) for state, series in SERIES.items()}
