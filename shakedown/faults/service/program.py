"""A program on this machine as a whole service."""

import contextlib
import os
import signal as signals
import threading
from collections.abc import Callable, Mapping

import psutil

from shakedown.errors import FaultError, FaultRefusedError
from shakedown.faults.base import FaultContext
from shakedown.faults.service.target import PATIENCE, State, Target, wait_for
from shakedown.guard.undo import PROCESS_MARK, ProcessContinue, Undo, carry_out
from shakedown.services.process import ProcessRunner

__all__ = ["ProgramTarget"]

ROUNDS = 20  # a tree that starts children faster than they are signalled is given up
END_WITHIN = 5.0  # after SIGKILL
_FROZEN = (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)


class ProgramTarget(Target):
    """A program and all that it started: what is done to it is done to the whole tree."""

    engine = "this machine"
    # Whoever is left cannot start it again: it is not theirs. It ends with the run, as all of it does.
    down_layers = ("journal and watchdog: the program ends with its run",)
    pause_layers = ("journal", "watchdog")

    def __init__(self, context: FaultContext, name: str, runner: ProcessRunner) -> None:
        super().__init__(context, name)
        self._runner = runner
        self._made_of: tuple[list[str], dict[str, str]] | None = None
        self._busy = threading.Lock()  # a start waits for the stop that is still going on

    # ------------------------------------------------------------------------------------------------- looking at it
    def require(self) -> None:
        """It runs; its command and environment are noted."""
        state = self.look()
        if state.status != "running":
            raise FaultRefusedError(f"`{self.name}` is not running ({state.words}): there is nothing to disturb")
        self._made_of = self._runner.made_of()

    def look(self) -> State:
        """As the system's process table says."""
        handle = self._runner.handle
        life = f"{handle.pid}:{handle.created}"
        members = self._runner.members()
        if not members:
            code = self._runner.exit_code()
            return State("down", life, f"process {handle.pid} ended" + (f" with {code}" if code is not None else ""))
        if self._runner.exit_code() is not None:
            return State("partly", life, f"process {handle.pid} ended, {len(members)} of its children live")
        stopped = sum(_status(member) == psutil.STATUS_STOPPED for member in members)
        if stopped == len(members):
            return State("paused", life, f"{stopped} processes stopped")
        words = f"process {handle.pid} runs, {len(members)} in all" + (f", {stopped} stopped" if stopped else "")
        return State("running", life, words)

    def changes(self) -> list[str]:
        """Command and environment."""
        if self._made_of is None:
            return []
        return [
            f"{what} is another one"
            for what, before, after in zip(
                ("command", "environment"), self._made_of, self._runner.made_of(), strict=True
            )
            if before != after
        ]

    def variables_not(self, asked: Mapping[str, object]) -> list[str]:
        """The variables that its first process was not started with as asked, as the kernel knows it."""
        try:
            has = psutil.Process(self._runner.handle.pid).environ()
        except psutil.Error:
            return []
        if PROCESS_MARK not in has:  # it has written its title over its environment, as servers do: nothing can be told
            return []
        return [
            key
            for key, value in asked.items()
            if has.get(key) != (None if value is None else self._runner.made_of()[1][key])
        ]

    # ------------------------------------------------------------------------------------------------ what is done to it
    def kill(self, signal: str, *, crash: bool = False) -> bool:  # noqa: ARG002 - no engine brings a program up again
        """Signal everything, and wait for its end."""
        sent = self._signal(signals.Signals[signal], again=signal == "SIGKILL")
        return wait_for(lambda: not any(map(_lives, sent)), PATIENCE)

    def stop(self, grace: float) -> None:
        """Ask, wait, and then make it."""
        with self._busy:
            asked = self._signal(signals.SIGTERM)
            if wait_for(lambda: not any(map(_lives, asked)), grace) and not self._runner.members():
                return
            made = self._signal(signals.SIGKILL, again=True)
            if not wait_for(lambda: not any(map(_lives, made)), END_WITHIN):
                raise FaultError(f"`{self.name}` does not end")

    def start(self) -> None:
        """A new life, with the ports, environment and log of the one before."""
        with self._busy:
            if self.look().status in ("down", "partly") or self.changes():
                self._runner.restart()

    def pause(self) -> None:
        """SIGSTOP to everything."""
        sent = self._signal(signals.SIGSTOP, again=True)
        wait_for(lambda: all(_status(member) in _FROZEN for member in sent), 1.0)

    def resume(self) -> None:
        """SIGCONT to everything."""
        carry_out(self.undo_pause(), None)
        self._signal(signals.SIGCONT)

    def undo_down(self) -> Undo:
        """There is none that anybody else could carry out: it is let go on, which does nothing to what has ended."""
        return self.undo_pause()

    def undo_pause(self) -> Undo:
        """Let it go on."""
        handle = self._runner.handle
        return ProcessContinue(pid=int(handle.pid or 0), created=float(handle.created or 0.0))

    def _signal(self, signal: signals.Signals, *, again: bool = False) -> list[psutil.Process]:
        """Send a signal to every process; with `again` also to those that were started meanwhile.

        The first process and all that stayed in its group get it in one call, from which no fork escapes.
        """
        handle = self._runner.handle
        sent = self._runner.members()
        group = handle.pid if any(member.pid == handle.pid for member in sent) else None
        others = [member for member in sent if group is None or _group(member) != group]
        if group is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, signal)
        for _ in range(ROUNDS):
            for member in others:
                _quietly(lambda member=member: member.send_signal(signal))  # type: ignore[misc]
            if not again:
                return sent
            fresh = [member for member in self._runner.members(orphans=False) if member not in sent]
            if not fresh:
                return sent
            sent += fresh
            others = [member for member in fresh if group is None or _group(member) != group]
        raise FaultError(f"`{self.name}` starts processes faster than they can be signalled")


def _group(process: psutil.Process) -> int | None:
    try:
        return os.getpgid(process.pid)
    except ProcessLookupError:
        return None


def _status(process: psutil.Process) -> str:
    try:
        return str(process.status())
    except psutil.NoSuchProcess:
        return psutil.STATUS_DEAD


def _lives(process: psutil.Process) -> bool:
    return _status(process) not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)


def _quietly(action: Callable[[], object]) -> None:
    try:
        action()
    except psutil.NoSuchProcess:
        return
