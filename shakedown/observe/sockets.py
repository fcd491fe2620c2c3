"""TCP sockets by state, as the kernel lists them for a network namespace (Linux).

The kernel walks through all sockets of the machine to list those of one namespace: milliseconds, however few they are. So
a namespace that held none and has opened none since is not listed, and the others are listed as often as a small share of a
core allows.
"""

import os
from collections.abc import Collection, Iterable
from pathlib import Path

from shakedown.observe.sparing import Sparing

__all__ = ["SERIES", "SHARE", "NamespaceSockets", "count_states", "sockets_of_processes"]

# The states that say something: in use, ended by the other side and never by ours (a leak), waiting out old packets.
SERIES = {b"01": "sockets_established", b"08": "sockets_close_wait", b"06": "sockets_time_wait"}
# One that waits out old packets belongs to no process any more: who held it cannot be told.
HELD = (b"01", b"08")
SHARE = 0.001  # of a core, for each namespace or process tree
_LISTENS = b" 0A "
_STATE, _INODE = 3, 9  # the columns


class NamespaceSockets:
    """Those of the namespace that a process lives in.

    Args:
        proc: where the kernel tells.
    """

    def __init__(self, proc: Path = Path("/proc")) -> None:
        self._proc = proc
        self._sparing = Sparing(SHARE)
        self._quiet: tuple[bytes, ...] | None = None  # connections opened so far, when the list held listeners alone

    def read(self, pid: int, *, whole: bool = False) -> dict[str, float]:
        """By state; empty where it cannot be read (other systems, other users' processes) or is not due yet.

        Args:
            whole: list them also when it is not due yet.
        """
        net = self._proc / str(pid) / "net"
        opened = _opened(net)  # before the list: what is opened meanwhile is seen the next time
        if opened is not None and opened == self._quiet:
            return dict.fromkeys(SERIES.values(), 0.0)
        self._quiet = None
        return self._sparing.read(lambda: self._list(net, opened), whole=whole)

    def _list(self, net: Path, opened: tuple[bytes, ...] | None) -> dict[str, float]:
        tables = _tables(net)
        if tables is None:
            return {}
        if all(table.count(b"\n") - 1 == table.count(_LISTENS) for table in tables):
            self._quiet = opened
        return count_states(tables)


def count_states(tables: Iterable[bytes]) -> dict[str, float]:
    """How many lines of /proc/net/tcp are in each of the states.

    No other column of a line is two digits the first of which is a zero, so the state need not be cut out.
    """
    counts = dict.fromkeys(SERIES.values(), 0.0)
    for table in tables:
        for state, series in SERIES.items():
            counts[series] += table.count(b" " + state + b" ")
    return counts


def sockets_of_processes(pids: Collection[int]) -> dict[str, float]:
    """Those that processes of one namespace hold, by state; empty where it cannot be read."""
    held: set[bytes] = set()
    root = 0
    for pid in pids:
        try:
            links = _links(pid)
        except OSError:  # it has ended meanwhile
            continue
        root = root or pid
        held |= {link[8:-1] for link in links if link.startswith(b"socket:[")}
    tables = _tables(Path(f"/proc/{root}/net")) if root else None
    if tables is None:
        return {}
    counts = {SERIES[state]: 0.0 for state in HELD}
    for line in (line for table in tables for line in table.splitlines()):
        columns = line.split(None, _INODE + 1)
        if len(columns) > _INODE and columns[_STATE] in HELD and columns[_INODE] in held:
            counts[SERIES[columns[_STATE]]] += 1
    return counts


def _links(pid: int) -> list[bytes]:
    folder = f"/proc/{pid}/fd".encode()
    found = []
    for name in os.listdir(folder):  # noqa: PTH208 - thousands of them: a Path costs twice
        try:
            found.append(os.readlink(folder + b"/" + name))  # noqa: PTH115 - as above
        except OSError:  # closed meanwhile
            continue
    return found


def _opened(net: Path) -> tuple[bytes, ...] | None:
    """How many connections a namespace has opened and been asked for so far; None where it is not counted."""
    try:
        lines = [line.split() for line in (net / "snmp").read_bytes().splitlines() if line.startswith(b"Tcp:")]
    except OSError:
        return None
    if len(lines) != 2:
        return None
    figures = dict(zip(*lines, strict=False))
    found = tuple(figures[name] for name in (b"ActiveOpens", b"PassiveOpens") if name in figures)
    return found if len(found) == 2 else None


def _tables(net: Path) -> list[bytes] | None:
    """The lists that are not empty; None when none can be read."""
    tables, read = [], False
    for table, counter, word in (("tcp", "sockstat", b"TCP:"), ("tcp6", "sockstat6", b"TCP6:")):
        try:
            if _none((net / counter).read_bytes(), word):
                read = True
                continue
        except OSError:  # not every kernel counts: then they are listed
            pass
        try:
            tables.append((net / table).read_bytes())
            read = True
        except OSError:
            continue
    return tables if read else None


def _none(counted: bytes, word: bytes) -> bool:
    """Whether a namespace has no socket of a kind: `TCP: inuse 0 orphan 0 tw 0 …`. Those that wait are counted under TCP alone."""
    line = next((line.split() for line in counted.splitlines() if line.startswith(word)), [])
    figures = dict(zip(line[1::2], line[2::2], strict=False))
    return figures.get(b"inuse") == b"0" and figures.get(b"tw", b"0") == b"0"
