"""The notes of all load workers of a run, put together."""

from collections.abc import Iterator
from pathlib import Path

from shakedown.ledgers.writer import unescape
from shakedown.records.ledger import Acknowledgement, LedgerEntry

__all__ = ["read_entries"]

SENT_FIELDS, ENDED_FIELDS = 3, 4


def read_entries(folder: Path) -> Iterator[LedgerEntry]:
    """One entry per write of one ledger; a write without an answer has the outcome unknown.

    A line that a crash tore in two is passed over: a torn `sent` never left, a torn answer leaves the write unknown.
    """
    for path in sorted(folder.glob("*.ledger")):
        pending: dict[str, float] = {}
        with path.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                if not line.endswith("\n"):
                    continue
                fields = line.rstrip("\n").split("\t")
                if fields[0] == ">" and len(fields) == SENT_FIELDS:
                    pending[unescape(fields[1])] = float(fields[2])
                elif fields[0] == "<" and len(fields) == ENDED_FIELDS:
                    key = unescape(fields[1])
                    sent = pending.pop(key, float(fields[2]))
                    yield LedgerEntry(key, sent, float(fields[2]), Acknowledgement(fields[3]))
        for key, sent in pending.items():
            yield LedgerEntry(key, sent, sent, Acknowledgement.UNKNOWN)
