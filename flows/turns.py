"""One run of a plan at a time: a run that a server started waits for the one that goes on.

Limits of deployments and workers count what Prefect believes to run. A worker that was killed leaves a run that goes on
while its slot is free again after some minutes, another deployment of the same plan has slots of its own, and a flow run that is retried may find its own first attempt alive. A lock on a file is
held by the process itself, and the kernel gives it back whatever ends it.
"""

import fcntl
import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prefect.context import FlowRunContext

from shakedown.errors import StoreError
from shakedown.session.progress import Progress, tell

__all__ = ["deployed", "turn"]

LOOK_AGAIN = 0.5
SAY_AGAIN = 60.0


@contextmanager
def turn(root: Path, plan: Path) -> Iterator[None]:
    """Within this block no other run of this plan with results under `root` begins, if Prefect started it.

    Runs of a deployment, and repeated ones, wait. A run that somebody started by hand does not: it says that it is not
    alone. Signals while it waits are Prefect's, which ends the flow: nothing has begun.

    Raises:
        StoreError: the folder for results cannot be written.
    """
    key = hashlib.sha256(str(plan.resolve()).encode()).hexdigest()[:16]
    path = root.resolve() / "locks" / f"{key}.lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror or error}") from error
    with path.open("a+", encoding="utf-8") as lock:
        said = -SAY_AGAIN
        while not _take(lock.fileno()):
            if not _waits():
                _say(f"another run of {plan} goes on: the two disturb each other's measurements")
                break
            if time.monotonic() - said >= SAY_AGAIN:
                said = time.monotonic()
                _say(f"another run of {plan} goes on: waiting for its end")
            time.sleep(LOOK_AGAIN)
        yield


def _say(text: str) -> None:
    tell(Progress("", 0.0, "warning", "", text))


def _take(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def deployed() -> bool:
    """Whether the flow that goes on here was started from a deployment."""
    context = FlowRunContext.get()
    return context is not None and context.flow_run is not None and context.flow_run.deployment_id is not None


def _waits() -> bool:
    context = FlowRunContext.get()
    again = context is not None and context.flow_run is not None and (context.flow_run.run_count or 0) > 1
    return again or deployed()
