"""Notes of writes, on disk before they are sent, so that a killed run can still be checked.

The file is mapped into memory: a note is a copy of some forty bytes, with no call of the system. What is in the mapping
belongs to the kernel at once and survives the worker, however it dies (SIGKILL as well): no request leaves unnoted.
It does not survive the machine: notes that the kernel had not written back when the power failed are lost (usually those
of the last half minute). The file grows by whole pieces; zeros behind the last line are none of it.

Lines, tab-separated::

    =  ledger 2                                    a writer begins: notes are numbered from 0 again
    >  key  seconds  digest  group  [-]            about to be sent; `-`: it takes the key away
    <  number  seconds  a | r | u                  acknowledged, refused, unknown
"""

import contextlib
import mmap
import os
from pathlib import Path

from shakedown.errors import LoadError
from shakedown.records.ledger import Acknowledgement, LedgerNote

__all__ = ["LedgerWriter", "unescape"]

PIECE = 1024 * 1024
BEGIN = b"=\tledger 2\n"
LETTERS = {Acknowledgement.ACKNOWLEDGED: "a", Acknowledgement.REFUSED: "r", Acknowledgement.UNKNOWN: "u"}
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r", "\0": "\\0"})
_PLAIN = {"t": "\t", "n": "\n", "r": "\r", "0": "\0"}


def _escape(text: str) -> str:
    return text if text.isprintable() and "\\" not in text else text.translate(_ESCAPES)


def unescape(text: str) -> str:
    """A key as it was before it was written."""
    if "\\" not in text:
        return text
    out, escaped = [], False
    for char in text:
        if escaped:
            out.append(_PLAIN.get(char, char))
            escaped = False
        elif char == "\\":
            escaped = True
        else:
            out.append(char)
    return "".join(out)


def _end_of(file: int) -> int:
    """Where a file that a killed worker left behind ends: before the zeros."""
    size = os.fstat(file).st_size
    while size:
        begin = max(size - PIECE, 0)
        kept = os.pread(file, size - begin, begin).rstrip(b"\0")
        if kept:
            return begin + len(kept)
        size = begin
    return 0


class LedgerWriter:
    """The notes of one load worker for one ledger.

    Raises:
        LoadError: the file cannot be written; there is no room for it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._at = _end_of(self._file)  # of the mapping's own begin
        self._base = 0
        self._map: mmap.mmap | None = None
        self._number = -1
        torn = self._at and os.pread(self._file, 1, self._at - 1) != b"\n"
        self._grow()
        self._put(b"\n" + BEGIN if torn else BEGIN)  # the half line of a killed worker must not swallow ours

    def _grow(self, needed: int = 0) -> None:
        """Map the next piece. Its room is taken on the disk first: a full disk must be an error here, no signal later."""
        at = self._base + self._at
        base = at - at % mmap.ALLOCATIONGRANULARITY
        size = max(PIECE, at - base + needed)
        try:
            _reserve(self._file, base, size)
            mapped = mmap.mmap(self._file, size, offset=base)
        except OSError as error:
            raise LoadError(f"the ledger {self._path.name} cannot be written: {error}") from error
        if self._map is not None:
            self._map.close()
        self._map, self._base, self._at = mapped, base, at - base

    def _put(self, line: bytes) -> None:
        mapped, end = self._map, self._at + len(line)
        if mapped is None:
            raise LoadError(f"the ledger {self._path.name} is closed")
        if end > len(mapped):
            self._grow(len(line))
            self._put(line)
            return
        mapped[self._at : end] = line
        self._at = end

    def sent(self, note: LedgerNote, at: float) -> int:
        """About to be sent; the number by which its end is told.

        Raises:
            LoadError: there is no room.
        """
        key, group = _escape(note.key), _escape(note.group)
        removes = "\t-" if note.removes else ""
        self._put(f">\t{key}\t{at:.4f}\t{note.digest}\t{group}{removes}\n".encode("utf-8", "surrogatepass"))
        self._number += 1
        return self._number

    def ended(self, number: int, at: float, outcome: Acknowledgement) -> None:
        """What came of it. Where there is no room for that the write stays unknown, and the next one ends the load."""
        with contextlib.suppress(LoadError):
            self._put(f"<\t{number}\t{at:.4f}\t{LETTERS[outcome]}\n".encode())

    def close(self) -> None:
        """Cut the file where its lines end, and close it."""
        if self._map is None:
            return
        self._map.close()
        self._map = None
        os.ftruncate(self._file, self._base + self._at)
        os.close(self._file)


def _reserve(file: int, begin: int, size: int) -> None:
    """Have room on the disk for a part of a file.

    Raises:
        OSError: there is none.
    """
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, begin, size)
        return
    there = os.fstat(file).st_size  # not every system has it; zeros take room as well
    if there < begin + size:
        os.pwrite(file, bytes(begin + size - there), there)
