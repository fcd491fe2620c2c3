"""Notes of writes, on disk before they are sent, so that a killed run can still be checked.

Tab-separated lines: `>` key time (about to be sent) and `<` key time outcome. Tabs, newlines and backslashes in keys
are escaped.
"""

from io import SEEK_END, TextIOWrapper
from pathlib import Path

from shakedown.records.ledger import Acknowledgement

__all__ = ["LedgerWriter", "unescape"]

_ESCAPES = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}


def _escape(key: str) -> str:
    for plain, escaped in _ESCAPES.items():
        key = key.replace(plain, escaped)
    return key


def unescape(text: str) -> str:
    """A key as it was before it was written."""
    out, escaped = [], False
    for char in text:
        if escaped:
            out.append({"t": "\t", "n": "\n", "r": "\r"}.get(char, char))
            escaped = False
        elif char == "\\":
            escaped = True
        else:
            out.append(char)
    return "".join(out)


def _ends_torn(path: Path) -> bool:
    if not path.is_file() or not path.stat().st_size:
        return False
    with path.open("rb") as file:
        file.seek(-1, SEEK_END)
        return file.read(1) != b"\n"


class LedgerWriter:
    """The notes of one load worker for one ledger."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        torn = _ends_torn(path)
        self._file: TextIOWrapper = path.open("a", encoding="utf-8", newline="\n")
        if torn:  # the half line of a killed worker must not swallow the first of ours
            self._file.write("\n")

    def sent(self, key: str, at: float) -> None:
        """About to be sent; reaches the disk's cache before the request reaches the network."""
        self._file.write(f">\t{_escape(key)}\t{at:.4f}\n")
        self._file.flush()

    def ended(self, key: str, at: float, outcome: Acknowledgement) -> None:
        """What came of it."""
        self._file.write(f"<\t{_escape(key)}\t{at:.4f}\t{outcome.value}\n")

    def flush(self) -> None:
        """Hand everything to the operating system."""
        self._file.flush()

    def close(self) -> None:
        """Flush and close."""
        self._file.close()
