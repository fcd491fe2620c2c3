"""A run in the middle of its fault, for tests of what an interruption leaves behind."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from shakedown.results import Results
from tests.safety.world import containers, leftovers, wait_for

PAUSE = {"name": "frozen", "fault": {"type": "service-pause", "target": "web"}, "hold": "40s", "recover_within": "60s"}
PATIENCE = 240.0  # on a busy machine all of this takes its time


class Frozen:
    """A run whose fault holds: one of its two containers is paused."""

    def __init__(self, engine: Any, plan: Path, root: Path, begin: Callable[[], None]) -> None:
        self.engine, self.plan, self.root = engine, plan, root
        self._before: list[Path] = []
        self._before = self.folders
        begin()
        assert wait_for(lambda: self.folders, PATIENCE)
        self.folder = self.folders[0]
        self.name = self.folder.name
        assert wait_for(lambda: self.paused, PATIENCE), [one.status for one in containers(engine, self.name)]

    @property
    def folders(self) -> list[Path]:
        """Those of the runs since it began."""
        runs = self.root / "runs"
        return sorted(one for one in runs.iterdir() if one not in self._before) if runs.is_dir() else []

    @property
    def paused(self) -> bool:
        return any(one.status == "paused" for one in containers(self.engine, self.name))

    def gone(self, within: float = PATIENCE) -> None:
        """Nothing of it is left."""
        assert wait_for(lambda: not leftovers(self.engine, self.name, self.folder), within), leftovers(
            self.engine, self.name, self.folder
        )

    def ended(self, status: str, verdict: str | None = None) -> None:
        """What its database says; what was measured before the interruption is in it."""
        results = Results.open(self.root)
        assert wait_for(lambda: results.run(self.name).status != "running", PATIENCE)
        info = results.run(self.name)
        assert (info.status, info.verdict) == (status, verdict), info.reason
        (experiment,) = results.experiments(self.name)
        assert experiment.record.applied_at is not None
        assert results.samples(self.name)
