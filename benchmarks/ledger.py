"""What a ledger of a million keys costs: `make bench-ledger`. Writes the table in benchmarks/README.md."""  # noqa: INP001

# Three processes, each measured by itself: one writes notes and outcomes as a load worker does; one reads them back from
# a database file by a listing; one does the same with some keys lost, doubled, changed and strange, and must find these.

import argparse
import json
import os
import resource
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

from publish import publish

from shakedown.clock import RunClock
from shakedown.ledgers.digest import digest_of
from shakedown.ledgers.reader import read_back
from shakedown.ledgers.writer import LedgerWriter
from shakedown.plan.ledgers import LEDGER_KINDS, Ledger
from shakedown.records.ledger import Acknowledgement, LedgerNote

BEGIN, END = "<!-- ledger: begin -->", "<!-- ledger: end -->"
WRONG = 1000  # of each kind


def key(number: int) -> str:
    """As long as a UUID."""
    return f"0192f0c1-{number % 65536:04x}-7000-8000-{number:012d}"


def write(folder: Path, count: int) -> dict[str, float]:
    """Note so many writes, and what came of them."""
    writer = LedgerWriter(folder / "m" / "a.ledger")
    digest = digest_of("the same text")
    begun, used = time.perf_counter(), time.process_time()
    for number in range(count):
        noted = writer.sent(LedgerNote(key(number), digest), number * 0.001)
        writer.ended(noted, number * 0.001 + 0.005, Acknowledgement.ACKNOWLEDGED)
    took, used = time.perf_counter() - begun, time.process_time() - used
    writer.close()
    return {"seconds": took, "cpu": used, "bytes": sum(file.stat().st_size for file in (folder / "m").iterdir())}


def store(path: Path, count: int, wrong: int) -> None:
    """What a system that did as it was told would have; or with so many of each kind of trouble."""
    base = sqlite3.connect(path)
    base.execute("PRAGMA journal_mode = OFF")
    base.execute("CREATE TABLE m (id TEXT, value TEXT)")
    kept = range(wrong, count)  # the first are lost
    base.executemany(
        "INSERT INTO m VALUES (?, ?)",
        ((key(number), "another" if number < 2 * wrong else "the same text") for number in kept),
    )
    base.executemany("INSERT INTO m VALUES (?, 'the same text')", ((key(3 * wrong + n),) for n in range(wrong)))
    base.executemany("INSERT INTO m VALUES (?, 'x')", ((f"stranger-{n}",) for n in range(wrong)))
    base.commit()
    base.close()


def read(folder: Path, base: Path) -> dict[str, object]:
    """Read the ledger back by a listing."""
    ledger = Ledger.model_validate(
        {"list": {"sql": "SELECT id AS key, value FROM m", "url": f"sqlite+aiosqlite:///{base}"}, "within": 0}
    )
    begun, used = time.perf_counter(), time.process_time()
    result = read_back("m", ledger, folder / "m", {"list": None}, RunClock.start(), threading.Event())
    return {
        "seconds": time.perf_counter() - begun, "cpu": time.process_time() - used, "checked": result.checked,
        "found": {kind: result.count(kind) for kind in LEDGER_KINDS}, "rounds": result.rounds,
    }  # fmt: skip


def alone(*arguments: str) -> dict[str, object]:
    """Run a part in a process of its own; with the most memory that it had."""
    done = subprocess.run([sys.executable, __file__, *arguments], stdout=subprocess.PIPE, check=True)  # noqa: S603 - ours
    found: dict[str, object] = json.loads(done.stdout)
    return found


def measure(count: int) -> str:
    """The table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = [("noted and ended", alone("write", name, str(count)))]
        disk = float(str(rows[0][1]["bytes"]))
        for words, wrong in (("read back, all right", 0), (f"read back, {WRONG} of four kinds wrong", WRONG)):
            base = folder / f"{wrong}.db"
            store(base, count, wrong)
            rows.append((words, alone("read", name, str(base))))
            base.unlink()
            found = rows[-1][1]["found"]
            wanted = {"lost": wrong, "duplicated": wrong, "corrupted": wrong, "phantom": wrong}
            if not isinstance(found, dict) or any(number != wanted.get(kind, 0) for kind, number in found.items()):
                raise SystemExit(f"{words}: found {found}, and {wanted} are there")
    lines = [
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}: {count:,} keys, each with a digest.",
        "",
        "| | time | CPU | CPU per key | most memory (RSS) |",
        "|---|---:|---:|---:|---:|",
    ]
    for words, row in rows:
        seconds, used, rss = (float(str(row[name])) for name in ("seconds", "cpu", "rss"))
        lines.append(f"| {words} | {seconds:.1f} s | {used:.1f} s | {used / count * 1e6:.1f} µs | {rss / 1e6:.0f} MB |")
    verdict = "met" if disk < 200e6 * count / 1e6 else "**not met**"
    lines += [
        "",
        f"On disk {disk / 1e6:.0f} MB (goal: below 200 MB for a million, {verdict}). Each wrong key was found under its kind.",
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure and publish."""
    if sys.argv[1:2] in (["write"], ["read"]):
        folder = Path(sys.argv[2])
        row = write(folder, int(sys.argv[3])) if sys.argv[1] == "write" else read(folder, Path(sys.argv[3]))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        sys.stdout.write(json.dumps({**row, "rss": peak}))
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keys", type=int, default=1_000_000)
    options = parser.parse_args()
    text = measure(options.keys)
    sys.stdout.write(text + "\n")
    publish(BEGIN, END, text)


if __name__ == "__main__":
    main()
