"""The notes of all load workers of a run, put together."""

from collections.abc import Iterator
from pathlib import Path

from shakedown.ledgers.writer import unescape
from shakedown.records.ledger import Acknowledgement, LedgerEntry

__all__ = ["Line", "read_entries", "read_lines"]

OUTCOMES = {
    b"a": Acknowledgement.ACKNOWLEDGED, b"r": Acknowledgement.REFUSED, b"u": Acknowledgement.UNKNOWN,
}  # fmt: skip
_SENT, _REMOVED, _ENDED = 5, 6, 4

# What is noted: the writer's life, the number in it, and either what was sent or how it ended.
Line = tuple[int, int, int, list[bytes]]


def read_lines(path: Path) -> Iterator[Line]:
    """Every whole line of a file: (life of the writer, number in it, offset, fields). Torn ones and zeros are passed over.

    A torn `>` never left; after a torn `<` the write is unknown.
    """
    life, number, offset = 0, -1, 0
    with path.open("rb") as file:
        for line in file:
            begin, offset = offset, offset + len(line)
            if not line.endswith(b"\n"):  # the last one, of a killed worker; or the zeros behind it
                return
            fields = line[:-1].split(b"\t")
            kind = fields[0]
            if kind == b">" and len(fields) in (_SENT, _REMOVED):
                number += 1
                yield life, number, begin, fields
            elif kind == b"<" and len(fields) == _ENDED and fields[3] in OUTCOMES:
                yield life, int(fields[1]), begin, fields
            elif kind == b"=":
                life, number = life + 1, -1


def text_of(field: bytes) -> str:
    """A field as it was."""
    return unescape(field.decode("utf-8", "surrogatepass"))


def read_entries(folder: Path) -> Iterator[LedgerEntry]:
    """One entry per write of one ledger, in the order in which they ended; one without an answer is unknown."""
    for path in sorted(folder.glob("*.ledger")):
        pending: dict[tuple[int, int], list[bytes]] = {}
        for life, number, _, fields in read_lines(path):
            if fields[0] == b">":
                pending[life, number] = fields
            elif (sent := pending.pop((life, number), None)) is not None:
                yield _entry(sent, float(fields[2]), OUTCOMES[fields[3]])
        for sent in pending.values():
            yield _entry(sent, float(sent[2]), Acknowledgement.UNKNOWN)


def _entry(sent: list[bytes], ended: float, outcome: Acknowledgement) -> LedgerEntry:
    return LedgerEntry(
        text_of(sent[1]), float(sent[2]), ended, outcome, sent[3].decode(), text_of(sent[4]), len(sent) == _REMOVED
    )
