"""What a run leaves in Prefect's UI: its progress, its log, its thresholds, its report. None of it can change how a run ends."""

import logging
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.exceptions import PrefectException

from shakedown.plan import planned_durations
from shakedown.records.judgement import ThresholdResult
from shakedown.reports import unlinked
from shakedown.session import Session
from shakedown.session.progress import Progress
from shakedown.units import format_duration, format_number, format_share, format_size
from tasks.events import publish_events
from tasks.reach import reach_of

__all__ = ["ProgressBar", "log_to", "name_images", "progress_of", "publish_report", "threshold_table", "unwrap"]

_IMAGE = re.compile(r"!\[([^\]]*)\]\(([^)]+)\)")
_PLAIN = re.compile(r"(?![#>|<\s]|[-*+] |\d+[.)] |[-=*_]{3,}\s*$)\S")  # the beginning of a line that is only text
_LOGGED = ("run", "stage", "service", "suite", "fault", "finding", "warning")
_LEAST = 1.0  # seconds: a stage of suites alone plans no time, and is not nothing


_bars: dict[str, "ProgressBar"] = {}


def progress_of(session: Session) -> "ProgressBar":
    """The one progress bar of a run."""
    return _bars.setdefault(session.run_id, ProgressBar(session))


class ProgressBar:
    """How far a run is, as an artifact: the share of its planned time that lies behind it."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._weights = {name: max(took, _LEAST) for name, took in planned_durations(session.loaded.plan).items()}
        self._total = sum(self._weights.values()) or _LEAST
        self._artifact: UUID | None = None

    def enter(self, stage: str, done: int = 0, of: int = 1) -> None:
        """`stage` goes on; so many `of` its equal parts are done."""
        names = list(self._weights)
        behind = sum(self._weights[name] for name in names[: names.index(stage)]) + done / of * self._weights[stage]
        self._show(100 * behind / self._total, f"{stage}, {done} of {of} done" if of > 1 else stage)

    def finish(self, words: str) -> None:
        """Nothing more will be run."""
        _bars.pop(self._session.run_id, None)
        self._show(100.0, words)

    def _show(self, percent: float, words: str) -> None:
        text = f"{words} (run {self._session.run_id})"

        def send() -> None:
            if self._artifact is None:
                made = create_progress_artifact(percent, key=_key("progress", self._session), description=text)
                self._artifact = made if isinstance(made, UUID) else None  # its type has the asynchronous form too
            else:
                update_progress_artifact(self._artifact, percent, description=text)

        _beside_the_point(self._session, send)


def log_to(logger: "logging.Logger | logging.LoggerAdapter[Any]") -> Callable[[Progress], None]:
    """A listener that writes what happens into a flow run's log, which the UI shows; but not what comes every second."""

    def write(news: Progress) -> None:
        if news.kind in _LOGGED and news.text:
            level = logging.WARNING if news.kind in ("finding", "warning") else logging.INFO
            subject = f"{news.subject}: " if news.subject else ""
            logger.log(level, "%.1f s  %s%s", news.at, subject, news.text)

    return write


def publish_report(session: Session, path: Path) -> None:
    """Keep the report's text and the table of its thresholds as artifacts of the task that goes on; say what came of it."""
    description = f"run {session.run_id}"

    def send() -> None:
        thresholds = threshold_table(session.results.thresholds(session.run_id))
        if thresholds:
            create_table_artifact(table=thresholds, key=_key("thresholds", session), description=description)
        text = unlinked(unwrap(name_images(path.read_text(encoding="utf-8"), path.parent)))
        create_markdown_artifact(key=_key("report", session), markdown=text, description=description)
        publish_events(session)

    _beside_the_point(session, send)


def name_images(markdown: str, folder: Path) -> str:
    """The same text with each image's path written out: a UI elsewhere can show no file of this machine."""
    return _IMAGE.sub(lambda image: f"{image[1]}: `{folder / image[2]}`", markdown)


def unwrap(markdown: str) -> str:
    """The same text with each paragraph in one line: the UI ends a line where the source does.

    What Markdown gives a meaning at the beginning of a line, and what is fenced or indented, stays as it is.
    """
    lines: list[str] = []
    fenced = False
    open_paragraph = False
    for line in markdown.splitlines():
        fence = line.lstrip().startswith(("```", "~~~"))
        plain = not fenced and not fence and _PLAIN.match(line) is not None
        if plain and open_paragraph:
            lines[-1] += f" {line}"
        else:
            lines.append(line)
        open_paragraph = plain and not line.endswith("  ")
        fenced ^= fence
    return "\n".join(lines) + "\n"


def threshold_table(thresholds: Sequence[tuple[str, str, ThresholdResult]]) -> list[dict[str, str]]:
    """One row per threshold, value beside limit, in the order given."""
    return [
        {
            "verdict": f"{item.verdict.symbol} {item.verdict}",
            "stage": f"{stage}: {scope}" if scope else stage,
            "threshold": item.text,
            "measured": "–" if item.actual is None else _amount(item.actual, item.unit),
            "limit": _amount(item.limit, item.unit),
            "n": str(item.samples),
            "why": item.reason,
        }
        for stage, scope, item in thresholds
    ]


def _amount(value: float, unit: str) -> str:
    known = {"s": format_duration, "B": format_size, "%": format_share}
    return known[unit](value) if unit in known else f"{format_number(value)}{unit}"


def _key(kind: str, session: Session) -> str:
    """Small letters, digits and dashes: what Prefect allows. Runs of one plan share a key, so the UI has their history."""
    return f"{kind}-{session.loaded.plan.name}".lower().replace("_", "-")


def _beside_the_point(session: Session, send: Callable[[], None]) -> None:
    """What Prefect's server will not take is told and changes nothing: the results are in the database.

    A server that does not answer is not asked: Prefect's client would try for a minute, and the run would wait for it.
    """
    if not reach_of(session).here():
        return
    try:
        send()
    except (PrefectException, httpx.HTTPError, OSError, RuntimeError, ValueError) as error:
        session.say("warning", "", f"no artifact in Prefect: {type(error).__name__}: {error}")
