"""Live sessions by run: flows and tasks are given a run's name, which a UI can show and a server can store."""

from typing import TYPE_CHECKING

from shakedown.errors import ShakedownError

if TYPE_CHECKING:
    from shakedown.session.live import Session

__all__ = ["current", "register", "unregister"]

_sessions: dict[str, "Session"] = {}


def register(session: "Session") -> None:
    """Make a session known."""
    _sessions[session.run_id] = session


def unregister(session: "Session") -> None:
    """Forget it."""
    _sessions.pop(session.run_id, None)


def current(run_id: str) -> "Session":
    """The session of a run that goes on in this process.

    Raises:
        ShakedownError: there is none: a stage was started on its own, outside a pipeline.
    """
    try:
        return _sessions[run_id]
    except KeyError:
        raise ShakedownError(
            f"no run {run_id!r} goes on in this process", hint="stages run inside the flow `pipeline`, never alone"
        ) from None
