"""Every fault as it was asked for and as it was measured, here: `make bench-faults`. Writes benchmarks/README.md."""  # noqa: INP001

# The faults' own tests carry each of them out on real containers. They note what was asked, what was proved and how long it
# took; this runs them all and makes a table of the notes. Some tests want a fault to be refused or to have too little
# effect: the table has the lives in which it held.

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import psutil
from publish import machine, publish

from shakedown.faults.catalogue import catalogue
from shakedown.reports.amounts import amount

BEGIN, END = "<!-- faults:begin -->", "<!-- faults:end -->"
TESTS = Path(__file__).parent.parent / "tests" / "integration" / "faults"
WORDS = 160  # of evidence


def carry_out(notes: Path, select: str, workers: int) -> int:
    """Run the tests; pytest's exit code."""
    command = [
        sys.executable, "-m", "pytest", "-q", "-n", str(workers), "--dist", "loadfile", "-m", "twins or not twins",
        *(["-k", select] if select else []), str(TESTS),
    ]  # fmt: skip
    environment = os.environ | {"SHAKEDOWN_TEST_FAULT_NOTES": str(notes)}
    return subprocess.run(command, env=environment, check=False).returncode  # noqa: S603 - our own words


def held(life: dict) -> bool:
    """Whether it was in effect, and gone afterwards."""
    return not (life["refused"] or life["error"]) and all(
        life[proof] and life[proof]["held"] for proof in ("effect", "gone")
    )


def strength(proof: dict) -> tuple[str, str]:
    """Asked and measured, in words."""
    if proof["asked"] is None or proof["measured"] is None:
        return "", ""
    return amount(proof["asked"], proof["unit"]), amount(proof["measured"], proof["unit"])


def cell(text: str) -> str:
    """One line of a table."""
    text = " ".join(text.split()).replace("|", "\\|")
    return text if len(text) <= WORDS else f"{text[: WORDS - 1]}…"


def off(life: dict) -> float:
    """How far what was measured is from what was asked, as a share of it; nothing where it is no number."""
    asked, measured = life["effect"]["asked"], life["effect"]["measured"]
    return abs(measured / asked - 1) if asked and measured is not None else 0.0


def row(kind: str, undo: str, lives: list[dict]) -> str:
    """One fault: the life whose strength is off by as much as that of half of the others, and times of all."""
    good = sorted((life for life in lives if held(life)), key=lambda life: (life["effect"]["asked"] is None, off(life)))
    if not good:
        return f"| `{kind}` | | | not carried out here | | | {cell(undo)} | 0 |"
    numbers = [life for life in good if life["effect"]["asked"] is not None] or good
    shown = numbers[len(numbers) // 2]
    asked, measured = strength(shown["effect"])
    applied = statistics.median(life["applied_at"] - life["asked_at"] for life in good)
    gone = statistics.median(life["gone_at"] - life["revert_asked_at"] for life in good)
    return (
        f"| `{kind}` | {cell(shown['parameters'])}{f': {asked}' if asked else ''} | {measured} | {cell(shown['effect']['evidence'])} | "
        f"{applied * 1e3:.0f} ms | {gone * 1e3:.0f} ms | {cell(undo)} | {len(good)} |"
    )


def table(lives: list[dict]) -> list[str]:
    """The lines."""
    by_kind = defaultdict(list)
    for life in lives:
        by_kind[life["fault"]].append(life)
    return [
        "| fault | asked | measured | the proof of its effect | asked → applied | revert asked → proved gone | undo | times it held |",
        "|---|---|---|---|---:|---:|---|---:|",
        *(row(entry.type, entry.undo, by_kind[entry.type]) for entry in catalogue()),
    ]


def main() -> None:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="an expression for pytest's -k; printed only")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    noise = psutil.cpu_percent(interval=2) / 100
    with tempfile.TemporaryDirectory() as folder:
        notes = Path(folder) / "notes.jsonl"
        code = carry_out(notes, options.only, options.workers)
        lives = [json.loads(line) for line in notes.read_text(encoding="utf-8").splitlines()] if notes.exists() else []
    if not lives:
        raise SystemExit("no fault was carried out")
    said = "\n".join([machine(noise), "", *table(lives)])
    sys.stdout.write(f"{said}\n")
    if not options.only:
        publish(BEGIN, END, said)
    sys.exit(code)


if __name__ == "__main__":
    main()
