"""All files of a report, each written whole or not at all."""

from pathlib import Path

from shakedown.errors import ReportError
from shakedown.reports.charts import draw_charts
from shakedown.reports.markdown import render_markdown
from shakedown.reports.model import collect
from shakedown.reports.summary import summarise
from shakedown.results import Results

__all__ = ["write_report"]


def write_report(results: Results, run: str, folder: Path) -> Path:
    """Write report.md, its charts and summary.json; the path of report.md.

    Raises:
        ReportError: a file cannot be written.
        UsageError: there is no such run.
    """
    report = collect(results, run)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        charts = draw_charts(report, folder / "charts")
        _write(folder / "summary.json", summarise(report).model_dump_json(indent=2) + "\n")
        _write(folder / "report.md", render_markdown(report, charts))
    except OSError as error:
        raise ReportError(f"the report cannot be written to {folder}: {error.strerror or error}") from error
    return folder / "report.md"


def _write(path: Path, text: str) -> None:
    """Readers see the old file or the new one, never half of one."""
    temporary = path.with_suffix(path.suffix + ".tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
