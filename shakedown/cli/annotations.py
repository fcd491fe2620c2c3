"""What did not hold, as annotations of a CI that shows them beside the code: GitHub's workflow commands.

See "Workflow commands for GitHub Actions", setting an error or warning message. The lines go to standard output, where
the runner looks for them; elsewhere nothing is printed.
"""

import json
import os
from pathlib import Path
from typing import Any

from shakedown.verdict import Verdict

__all__ = ["annotate"]

MOST = 10  # GitHub shows no more errors of one step
_ERRORS = (Verdict.FAILED, Verdict.ERROR)


def annotate(report: str | None, plan: Path) -> list[str]:
    """The annotations of a run, as lines to print; none outside of GitHub Actions.

    Args:
        report: the path of report.md; summary.json lies beside it.
        plan: the plan's file; a threshold is annotated at the line where it stands.
    """
    if os.environ.get("GITHUB_ACTIONS") != "true" or report is None:
        return []
    try:
        summary = json.loads(Path(report).with_name("summary.json").read_text(encoding="utf-8"))
        text = plan.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return []  # the verdict is printed all the same
    lines = [
        _line(item["verdict"], _threshold_title(item), _threshold_words(item), plan, _where(item["text"], text))
        for item in summary["thresholds"]
        if item["verdict"] != Verdict.PASSED
    ]
    lines += [
        _line(Verdict.FAILED if item["severity"] == "failure" else Verdict.INCONCLUSIVE, item["title"],
              item["cause"] or item["title"], plan, None)
        for item in summary["findings"]
        if item["severity"] != "note"
    ]  # fmt: skip
    return sorted(lines, key=lambda line: not line.startswith("::error"))[:MOST]


def _threshold_title(item: dict[str, Any]) -> str:
    return f"{item['stage']}{', ' + item['scope'] if item['scope'] else ''}: {item['text']}"


def _threshold_words(item: dict[str, Any]) -> str:
    from shakedown.reports import amount

    measured = "nothing was measured" if item["actual"] is None else f"measured {amount(item['actual'], item['unit'])}"
    return f"{item['verdict']}: {measured} (n = {item['samples']}){': ' + item['reason'] if item['reason'] else ''}"


def _where(words: str, text: list[str]) -> int | None:
    return next((number for number, line in enumerate(text, 1) if words in line), None)


def _line(verdict: str, title: str, words: str, plan: Path, at: int | None) -> str:
    place = f",line={at}" if at is not None else ""
    kind = "error" if verdict in _ERRORS else "warning"
    return f"::{kind} file={_property(plan.as_posix())}{place},title={_property(title)}::{_data(words)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
