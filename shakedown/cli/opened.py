"""The database, opened for a command; and plans by file or name."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from shakedown.errors import StoreError, UsageError

if TYPE_CHECKING:
    from shakedown.results import Results, Store

__all__ = ["open_results", "plan_name"]


def open_results(root: Path) -> "tuple[Store, Results]":
    """The results of a folder, or of SHAKEDOWN_DATABASE_URL. Looking makes nothing.

    Raises:
        StoreError: they cannot be opened.
        UsageError: nothing was ever written there.
    """
    from shakedown.results import Results, Store
    from shakedown.results.database import VARIABLE

    if not os.environ.get(VARIABLE):
        if root.exists() and not root.is_dir():
            raise StoreError(f"{root} is not a folder: results cannot be there", hint="name another one with --root")
        if not (root / "shakedown.db").exists():
            raise UsageError(f"there is no run yet in {root}", hint="`shakedown run PLAN` makes one")
    store = Store.open(root)
    return store, Results(store.engine)


def plan_name(text: str) -> str:
    """The name of a plan that was given by its file; anything else is a name already.

    Raises:
        PlanError: the file is no plan.
    """
    path = Path(text)
    if not path.is_file():
        return text
    from shakedown.plan import load_plan

    return load_plan(path, environ=os.environ).plan.name
