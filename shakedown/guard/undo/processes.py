"""Processes on this machine: ended, or let go on."""

from collections.abc import Callable
from typing import Literal

import psutil

from shakedown.errors import GuardError
from shakedown.guard.identity import is_same
from shakedown.guard.undo.base import Operation

__all__ = ["PROCESS_GRACE", "PROCESS_MARK", "ProcessContinue", "ProcessKill", "end", "let_go_on"]

PROCESS_MARK = "SHAKEDOWN_PROCESS"  # variable of the environment of each process that we start, and of its children
PROCESS_GRACE = 3.0


class ProcessKill(Operation):
    """End a process, all its children, and whatever else carries its mark: orphans whose parent has gone.

    Attributes:
        pid: its number; 0 while it is not known yet, which leaves the mark.
        created: its creation time, which guards against a reused number.
        mark: the value of `PROCESS_MARK` in its environment; unique to it.
        grace: seconds between being asked to end and being made to.
    """

    op: Literal["process-kill"] = "process-kill"
    pid: int = 0
    created: float = 0.0
    mark: str = ""
    grace: float = PROCESS_GRACE


class ProcessContinue(Operation):
    """Let a stopped process (SIGSTOP) and all its children go on.

    Attributes:
        created: its creation time, which guards against a reused number.
    """

    op: Literal["process-continue"] = "process-continue"
    pid: int
    created: float


def let_go_on(undo: ProcessContinue) -> str:
    """Continue it and its children."""
    try:
        process = psutil.Process(undo.pid)
        if not is_same(undo.pid, undo.created):
            return f"process {undo.pid} is another one by now"
        for member in (process, *process.children(recursive=True)):
            _quietly(member.resume)
    except psutil.NoSuchProcess:
        return f"process {undo.pid} is gone"
    return f"process {undo.pid} goes on"


def end(undo: ProcessKill) -> str:
    """End it and all that belongs to it: asked first, then made to."""
    family, word = _family(undo)
    if family:
        for member in family:
            _quietly(member.terminate)
        _, alive = psutil.wait_procs(family, timeout=undo.grace)
        for member in alive:
            _quietly(member.kill)
        _, alive = psutil.wait_procs(alive, timeout=PROCESS_GRACE)
        if alive:
            raise GuardError(f"process {undo.pid or ''} does not end: {[member.pid for member in alive]} still run")
    return word


def _family(undo: ProcessKill) -> tuple[list[psutil.Process], str]:
    """What is to be ended, and the words for it."""
    family: list[psutil.Process] = []
    name = f"process {undo.pid}" if undo.pid else "the process"
    word = f"{name} is gone"
    try:
        process = psutil.Process(undo.pid) if undo.pid else None
        if process is not None and not is_same(process.pid, undo.created):
            word, process = f"{name} is another one by now", None
        if process is not None:
            family = [*process.children(recursive=True), process]
            word = f"{name} ended with {len(family) - 1} children"
    except psutil.NoSuchProcess:
        pass
    orphans = [member for member in _marked(undo.mark) if member not in family] if undo.mark else []
    if orphans:
        word += f", {len(orphans)} left behind ended"
    return [*family, *orphans], word


def _marked(mark: str) -> list[psutil.Process]:
    """Every process whose environment carries the mark."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(PROCESS_MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.Error, OSError):  # not ours to read, so not ours
            continue
    return found


def _quietly(action: Callable[[], object]) -> None:
    try:
        action()
    except psutil.NoSuchProcess:
        return
