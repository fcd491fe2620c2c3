"""report.md: Markdown by Jinja templates. Untrusted text is escaped so that it can break neither a table nor the page."""

import re
from collections.abc import Mapping
from importlib.resources import files

from jinja2 import Environment, FunctionLoader, StrictUndefined

from shakedown.records.judgement import Severity
from shakedown.reports import amounts, brief, tables, text
from shakedown.reports.behaviour import happened
from shakedown.reports.covers import covered_rows
from shakedown.reports.model import Report, collect
from shakedown.reports.reasons import Reason, run_reasons, stage_reasons, tidy
from shakedown.reports.untested import untested
from shakedown.reports.watched import always_zero, observer_cost, watched_lines
from shakedown.results import Results
from shakedown.units import format_size
from shakedown.verdict import Verdict

__all__ = ["markdown_text", "render_brief", "render_markdown"]

TESTS = 10  # of whose failures a report has the tracebacks
BRIEF = 8  # reasons and thresholds that a summary lists


def render_markdown(report: Report, charts: Mapping[str, str]) -> str:
    """The report as Markdown.

    Args:
        charts: chart files by name, relative to the report's folder of charts.
    """
    reasons, rest = run_reasons(report)
    decided = {reason.stage for reason in reasons}
    watched = watched_lines(report)
    return _render(
        "report.md.j2", report, charts=charts, Severity=Severity, reasons=reasons, rest=rest,
        decided=decided, why={stage.name: stage_reasons(report, stage) for stage in report.stages},
        watched=watched, zero=always_zero(watched), observer=observer_cost(report),
        blind=[event for event in report.events if event.kind == "sampler.failed"][:BRIEF],
        loads=tables.load_lines(report), suites=tables.suite_lines(report), cycles=tables.cycle_table(report),
        most_tests=TESTS, untested=untested(report), covered=covered_rows(report), happened=happened(report.experiments), error_windows=lambda error: tables.error_windows(report, error),
    )  # fmt: skip


def markdown_text(results: Results, run: str) -> str:
    """A run's report as Markdown without charts and links, for a terminal; no file is written.

    Raises:
        StoreError: the results cannot be read.
        UsageError: there is no such run.
    """
    return text.unlinked(render_markdown(collect(results, run), {}))


def render_brief(report: Report) -> str:
    """The report on one screen, as Markdown for a CI step's summary: without images."""
    reasons, rest = run_reasons(report)
    return _render(
        "summary.md.j2", report, reasons=reasons, rest=rest, timeline=brief.mermaid(report),
        sparks=brief.sparklines(report), untested=list(untested(report)), most=BRIEF,
    )  # fmt: skip


def _render(template: str, report: Report, **values: object) -> str:
    """A template, with the blank lines that its conditions leave folded."""
    folder = files("templates")
    environment = Environment(
        loader=FunctionLoader(lambda name: folder.joinpath(name).read_text(encoding="utf-8")),
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True, autoescape=False,  # noqa: S701 - Markdown: `e` below escapes
        finalize=lambda value: "" if value is None else value,
    )  # fmt: skip
    environment.filters.update(
        {
            "e": text.escape, "code": text.code, "sentence": text.sentence, "fenced": text.fenced, "tidy": tidy,
            "html": text.html, "capital": text.capital, "shortened": text.shortened,
            "seconds": amounts.seconds, "at": amounts.at, "amount": amounts.amount, "margin": amounts.margin,
            "verdict": amounts.verdict, "quantile": amounts.quantile, "phase_quantile": amounts.phase_quantile,
            "recovered": amounts.recovered, "detected": amounts.detected, "share": amounts.share,
            "change": amounts.change, "size": lambda value: amounts.NONE if value is None else format_size(value),
        }
    )  # fmt: skip
    shown = environment.get_template(template).render(
        report=report, Verdict=Verdict, advice=lambda reason: _advice(report, reason), **values
    )  # fmt: skip
    return re.sub(r"\n{3,}", "\n\n", re.sub(r"[ \t]+\n", "\n", shown)).strip() + "\n"


def _advice(report: Report, reason: Reason) -> list[str]:
    """What the findings behind a reason propose to do, each once."""
    found = (report.serious[number - 1][1].recommendation for number in sorted(reason.findings))
    return list(dict.fromkeys(filter(None, found)))
