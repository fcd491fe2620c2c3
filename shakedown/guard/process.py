"""Programs that we start, guarded from before their first moment."""

import subprocess
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from shakedown.guard.identity import born
from shakedown.guard.journal import Intent, Journal
from shakedown.guard.undo import PROCESS_GRACE, PROCESS_MARK, ProcessKill

__all__ = ["start_program"]


def start_program(
    journal: Journal,
    what: str,
    command: Sequence[str],
    *,
    cwd: Path,
    environment: Mapping[str, str],
    output: IO[bytes],
    grace: float = PROCESS_GRACE,
    piped: bool = False,
) -> tuple["subprocess.Popen[bytes]", Intent]:
    """Start a program in a session of its own, with its undo in the journal.

    Args:
        environment: its whole environment; our mark is added.
        grace: seconds that it gets to end by itself when it is asked to.
        piped: its standard input and output are pipes to us; only its errors go to `output`.

    A process has no number before it lives: until then its mark is all that the journal can know.

    Returns:
        The process, and the intent to strike when it has ended. The intent's undo ends it and all it started.

    Raises:
        GuardError: the journal cannot be written; nothing was started.
        OSError: it cannot be started.
    """
    mark = uuid.uuid4().hex
    before = journal.intend("process", what, ProcessKill(mark=mark, grace=grace))
    try:
        process = subprocess.Popen(  # noqa: S603 - the user's own command, from their plan
            list(command),
            cwd=cwd,
            env={**environment, PROCESS_MARK: mark},
            stdin=subprocess.PIPE if piped else subprocess.DEVNULL,
            stdout=subprocess.PIPE if piped else output,
            stderr=output if piped else subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError:
        journal.strike(before.id)
        raise
    created = born(process.pid)  # it is not waited for yet: there, if only as a zombie
    undo = ProcessKill(pid=process.pid, created=created, mark=mark, grace=grace)
    intent = journal.intend("process", what, undo)
    journal.strike(before.id)
    return process, intent
