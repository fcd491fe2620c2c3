"""All files of a report, each written whole or not at all."""

from pathlib import Path

from shakedown.errors import ReportError
from shakedown.reports.charts import draw_charts
from shakedown.reports.markdown import render_markdown
from shakedown.reports.model import collect
from shakedown.reports.summary import summary_json
from shakedown.reports.whole import write_whole
from shakedown.results import Results

__all__ = ["write_report"]


def write_report(results: Results, run: str, folder: Path) -> Path:
    """Write report.md, its charts and summary.json; the path of report.md.

    Raises:
        ReportError: a file cannot be written.
        StoreError: the results cannot be read.
        UsageError: there is no such run.
    """
    report = collect(results, run)
    markdown = "report.md"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        charts = draw_charts(report, folder / "charts")
        write_whole(folder / "summary.json", _bytes(summary_json(report)))
        write_whole(folder / markdown, _bytes(render_markdown(report, charts)))
    except OSError as error:
        raise ReportError(
            f"the report cannot be written to {folder}: {error.strerror or error}",
            hint="free some space there, or name another folder: shakedown report --out FOLDER",
        ) from error
    return folder / markdown


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")
