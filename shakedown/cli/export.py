"""`shakedown export` and `shakedown import`."""

from pathlib import Path

from rich.markup import escape

from shakedown.cli.console import out
from shakedown.cli.opened import open_results

__all__ = ["export", "import_"]


def export(run: str, root: Path, target: Path | None, kind: str) -> None:
    """Write a run to a file, or a folder of tables; print where."""
    from shakedown.reports import reading
    from shakedown.results.transfer import export_run

    store, results = open_results(root)
    with reading(f"the run {run!r}"):
        info = results.run(run)
    place = target or Path(f"{info.id}.jsonl" if kind == "jsonl" else f"{info.id}-{kind}")
    for path in export_run(store, info.id, place, kind):
        out.print(escape(str(path)))


def import_(sources: list[Path], root: Path) -> None:
    """Read runs that were exported as JSON Lines; print their names."""
    from shakedown.results import Store
    from shakedown.results.transfer import import_run

    store = Store.open(root)
    for source in sources:
        out.print(escape(import_run(store, source)))
