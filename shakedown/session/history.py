"""A run beside the runs before it: what the plan's `regression:` asks for."""

import hashlib
from datetime import datetime
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from shakedown.errors import StoreError
from shakedown.records.figures import Change, FigureName, Outlook, show_value
from shakedown.records.judgement import Finding, Severity
from shakedown.results.history import comparable, figure_run, look_at_run
from shakedown.session.live import Session
from shakedown.verdict import Verdict

__all__ = ["note_artifacts", "with_history"]

STAGE = "history"
CHANGED = (Change.REGRESSED, Change.SUSPECT, Change.IMPROVED)


def with_history(session: Session, verdict: Verdict, reason: str) -> tuple[Verdict, str]:
    """The run's verdict once it was compared with the runs before it; unless the plan says `fail`, the one it had.

    What could not be compared never passes as compared: it is told in a finding. With `fail` a comparison that broke
    down makes what passed inconclusive.
    """
    rules = session.loaded.plan.regression
    try:
        figure_run(session.store, session.results, session.run_id)
        if not rules.figures:
            return verdict, reason
        return _compare(session, verdict, reason)
    except (StoreError, SQLAlchemyError) as error:  # the verdict stands without it
        finding = Finding(Severity.NOTE, "this run was not compared with earlier ones", str(error))
        session.find(STAGE, finding)
        if rules.fail and verdict is Verdict.PASSED:
            return Verdict.INCONCLUSIVE, f"history: {finding.title}"
        return verdict, reason


def _compare(session: Session, verdict: Verdict, reason: str) -> tuple[Verdict, str]:
    rules = session.loaded.plan.regression
    since = datetime.fromisoformat(rules.since) if rules.since else None
    info = session.results.run(session.run_id)
    peers, why_not = comparable(session.results, info, since=since)
    figures = session.results.figures(session.run_id)
    outlooks, _ = look_at_run(figures, peers, rules.figures, rules.effect)
    session.store.add_regressions(session.run_id, outlooks)
    judged = {name: look for name, (_, look) in outlooks.items() if look.change is not Change.INCONCLUSIVE}
    if not judged:
        doubts = [look.reason for _, look in outlooks.values()] or ["none of the figures was measured soundly"]
        cause = "; ".join(filter(None, [max(set(doubts), key=doubts.count), why_not]))
        session.find(STAGE, Finding(Severity.NOTE, "this run was not compared with earlier ones", cause))
        return verdict, reason
    failing: list[str] = []
    for name, look in judged.items():
        if look.change in CHANGED:
            words = _words(name, outlooks[name][0], look)
            fails = rules.fail and look.change is Change.REGRESSED
            failing += [words] if fails else []
            session.find(STAGE, _finding(words, name, look, fails=fails))
    if not failing:
        return verdict, reason
    words = "; ".join(f"history: {one}" for one in failing)
    return Verdict.FAILED, f"{reason}; {words}" if verdict is Verdict.FAILED else words


def _finding(words: str, name: FigureName, look: Outlook, *, fails: bool) -> Finding:
    advice = {
        Change.REGRESSED: "`shakedown trend` shows since when; if it is meant, set `regression: {since: …}` to a day after it",
        Change.SUSPECT: "`shakedown run --confirm` repeats the run until it is confirmed or gone",
    }
    return Finding(
        Severity.FAILURE if fails else Severity.NOTE, words, look.reason, (f"compared with {look.runs} runs",),
        advice.get(look.change, ""), str(name),
    )  # fmt: skip


def _words(name: FigureName, unit: str, look: Outlook) -> str:
    verb = {Change.REGRESSED: "regressed", Change.SUSPECT: "is suspect", Change.IMPROVED: "improved"}[look.change]
    shown = {key: show_value(value, unit) for key, value in (("now", look.value), ("usual", look.usual))}
    limit = f", limit {show_value(look.limit, unit)}" if look.change is not Change.IMPROVED else ""
    return f"{name} {verb}: {shown['now']}, usually {shown['usual']}{limit}"


def note_artifacts(session: Session, *folders: Path) -> None:
    """Note the files of folders within the run's own, with size and digest."""
    found: dict[str, tuple[str, int, str]] = {}
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.is_symlink() and path.is_relative_to(session.run_dir):
                try:
                    data = path.read_bytes()
                except OSError:  # removed since it was listed: it is no artifact any more
                    continue
                place = path.relative_to(session.run_dir).as_posix()
                found[place] = (place, len(data), hashlib.sha256(data).hexdigest())
    session.store.put_artifacts(session.run_id, found.values())
