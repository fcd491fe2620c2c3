"""What a class of yours gets when an experiment calls it: `{type: custom-python, run: "module:Class"}`.

::

    from shakedown.custom import Given, Proof

    class StaleFiles:
        def __init__(self, given: Given) -> None: ...
        def inject(self) -> None: ...
        def revert(self) -> None: ...
        def proof(self) -> Proof | bool: ...
        def gone(self) -> Proof | bool: ...         # if it is more than a proof that says no

Each step is a process of its own, `python -m shakedown.custom STEP GIVEN [RESULT]`: the run starts it, and so does whoever
takes the fault back when the run is dead. It ends by itself when its time is over. What it needs is little, so that it
begins at once.
"""

import dataclasses
import importlib
import json
import os
import signal
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shakedown.records.experiment import Proof

__all__ = ["Given", "Proof", "call"]

_NEEDED = ("inject", "revert", "proof")


@dataclass(frozen=True, slots=True)
class Given:
    """What a step of a custom fault knows.

    Attributes:
        run: the class, `module:Class`.
        folder: the plan's folder, in which the step runs.
        parameters: from the plan.
        target: the service, or empty.
        container: the id of the target's container, or empty.
        addresses: SHAKEDOWN_<SERVICE>_<PORT> to URL, of every service.
        tag: the same in all steps of one injection, and in no other's; for the name of a file, say.
        timeout: seconds that each step may take.
        deadline: for `inject` alone: seconds since the epoch beyond which it must not last; else 0.
    """

    run: str
    folder: str
    parameters: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    target: str = ""
    container: str = ""
    addresses: Mapping[str, str] = field(default_factory=dict)
    tag: str = ""
    timeout: float = 10.0
    deadline: float = 0.0


def call(step: str, given: Given) -> Proof | None:
    """Make an object of the user's class and carry one step out.

    Raises:
        TypeError: the class lacks a step, or a proof is neither true, false nor a Proof.
    """
    sys.path.insert(0, given.folder)
    module, _, name = given.run.partition(":")
    made: Any = getattr(importlib.import_module(module), name)(given)
    for needed in _NEEDED:
        if not callable(getattr(made, needed, None)):
            raise TypeError(f"the class {given.run} has no method `{needed}`")
    if step in ("inject", "revert"):
        getattr(made, step)()
        return None
    if step == "gone" and not callable(getattr(made, "gone", None)):
        found = _proof(made.proof(), "proof")
        return dataclasses.replace(found, held=not found.held)
    return _proof(getattr(made, step)(), step)


def _proof(found: object, step: str) -> Proof:
    if isinstance(found, bool):
        return Proof(held=found, evidence=f"its `{step}` says {'yes' if found else 'no'}")
    if not isinstance(found, Proof):
        raise TypeError(f"`{step}` must return True, False or a Proof, not {found!r}")
    return found


def main() -> None:
    """Carry out what the command line says; a mistake of the user's is told in two lines."""
    step, text, *result = sys.argv[1:]
    given = Given(**json.loads(text))
    signal.setitimer(signal.ITIMER_REAL, given.timeout)  # the signal's default is to end the process
    os.chdir(given.folder)
    try:
        proof = call(step, given)
    except Exception as error:  # noqa: BLE001 - any, from the user's own code
        *_, last = traceback.extract_tb(error.__traceback__)
        sys.exit(f"{type(error).__name__}: {error} ({Path(last.filename).name}:{last.lineno})")
    if result and proof is not None:
        Path(result[0]).write_text(json.dumps(dataclasses.asdict(proof)), encoding="utf-8")


if __name__ == "__main__":
    main()
