"""All files of a report, each written whole or not at all."""

from pathlib import Path

from shakedown.errors import ReportError
from shakedown.reports.charts import draw_charts
from shakedown.reports.html import render_html
from shakedown.reports.junit import render_junit
from shakedown.reports.markdown import render_brief, render_markdown
from shakedown.reports.model import collect
from shakedown.reports.summary import summary_json
from shakedown.reports.whole import write_whole
from shakedown.results import Results

__all__ = ["write_report"]


def write_report(results: Results, run: str, folder: Path) -> Path:
    """Write every file of a report; the path of report.md.

    There are: report.md with its charts, report.html, summary.md, summary.json, junit.xml.

    Raises:
        ReportError: a file cannot be written.
        StoreError: the results cannot be read.
        UsageError: there is no such run.
    """
    report = collect(results, run)
    path = folder / "report.md"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        charts = draw_charts(report, folder / "charts")
        write_whole(folder / "summary.json", _bytes(summary_json(report)))
        write_whole(folder / "summary.md", _bytes(render_brief(report)))
        write_whole(folder / "junit.xml", _bytes(render_junit(report)))
        markdown = render_markdown(report, charts)
        write_whole(folder / "report.html", _bytes(render_html(report, markdown, charts, folder / "charts")))
        write_whole(path, _bytes(markdown))
    except OSError as error:
        raise ReportError(
            f"the report cannot be written to {folder}: {error.strerror or error}",
            hint="free some space there, or name another folder: shakedown report --out FOLDER",
        ) from error
    return path


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")
