"""Who sent what when: a line per accepted message in a small ring of files."""

import os
import tempfile
import time

from courier import defects

LINES = 25  # in a file
FILES = 4


class Audit:
    """The newest lines, in files that are written one after the other."""

    def __init__(self) -> None:
        self._folder = tempfile.mkdtemp(prefix="audit-")
        self._lines = 0
        self._file = self._open(0)

    def _open(self, number: int) -> int:
        return os.open(f"{self._folder}/{number % FILES}.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)

    def note(self, message: str, user: str) -> None:
        """A message was accepted."""
        os.write(self._file, f"{time.time():.3f} {message} {user}\n".encode())
        self._lines += 1
        if self._lines % LINES == 0:
            if not defects.on("leak-files"):
                os.close(self._file)
            self._file = self._open(self._lines // LINES)
