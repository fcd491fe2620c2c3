"""`runs`, `report`, `validate` and `doctor` as programs: what they print, where, and how they end, whatever state things are in."""

import json
import os
import pty
import resource
import select
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import termios
from fcntl import ioctl
from pathlib import Path

import pytest

from shakedown.guard.identity import born
from shakedown.results import Store
from tests.unit.reports.scenes import SCENES, TRACE, begin

pytestmark = pytest.mark.integration
SHAKEDOWN = str(Path(sys.executable).with_name("shakedown"))
LIMIT = 40_000  # bytes: SQLite's own shared memory fits, a chart does not


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    """A folder of results with a run of every kind; not to be changed."""
    root = tmp_path_factory.mktemp("results") / ".shakedown"
    made = Store.open(root)
    for name, write in SCENES.items():
        write(made, f"run-{name}")
    made.engine.dispose()
    return root


@pytest.fixture
def copy(store, tmp_path) -> Path:
    """Such a folder, to be changed."""
    return Path(shutil.copytree(store, tmp_path / ".shakedown"))


def shakedown(*arguments, cwd=None, **options) -> subprocess.CompletedProcess:
    """The command, without a terminal, at 80 columns; it never shows a traceback or an escape code."""
    environment = {**os.environ, "COLUMNS": "80", **options.pop("env", {})}
    done = subprocess.run(
        [SHAKEDOWN, *map(str, arguments)], cwd=cwd, env=environment, stderr=subprocess.PIPE, text=True, timeout=120, check=False,
        **{"stdout": subprocess.PIPE, **options},
    )  # fmt: skip
    assert "Traceback" not in done.stderr + (done.stdout or "").replace(TRACE.splitlines()[0], "", 1)  # of a test
    assert "\x1b" not in done.stderr + (done.stdout or "")
    return done


def test_runs_is_a_line_each(store):
    """Without a terminal: a heading, then one whole line for each run, newest first, in words and without colours."""
    done = shakedown("runs", "--root", store)
    lines = done.stdout.splitlines()
    assert (done.returncode, done.stderr, len(lines)) == (0, "", len(SCENES) + 1)
    words = {line.split()[0]: line.split()[1] for line in lines[1:]}
    assert words == {
        "run-error": "error", "run-empty": "running", "run-interrupted": "interrupted", "run-skipped": "failed",
        "run-inconclusive": "inconclusive", "run-failed": "failed", "run-passed": "passed",
    }  # fmt: skip
    assert lines[0].split() == ["run", "verdict", "took", "profile", "why"]
    column = lines[0].index("verdict")
    assert all(line[column:].startswith(word) for line, word in zip(lines[1:], words.values(), strict=True))
    assert len(shakedown("runs", "--root", store, "--limit", 2).stdout.splitlines()) == 3


def test_runs_fits_a_terminal(store):
    """On a terminal of 80 columns no line is longer, and the reason stands below its run."""
    master, slave = pty.openpty()
    ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 80, 0, 0))
    environment = {
        **{name: value for name, value in os.environ.items() if name != "COLUMNS"},
        "NO_COLOR": "1",
        "TERM": "xterm",
    }
    with subprocess.Popen(
        [SHAKEDOWN, "runs", "--root", str(store)], stdin=slave, stdout=slave, stderr=slave, env=environment
    ):
        os.close(slave)
        text = b""
        while select.select([master], [], [], 60)[0]:
            try:
                text += os.read(master, 65536)
            except OSError:  # the other end is closed
                break
    os.close(master)
    lines = text.decode().replace("\r", "").replace("\x1b[2m", "").replace("\x1b[0m", "").splitlines()
    assert max(map(len, lines)) <= 80
    place = next(number for number, line in enumerate(lines) if line.startswith("run-skipped"))
    assert lines[place + 1] == "    baseline: send.error_rate < 1%: 100 %"


def test_nothing_there_makes_nothing(tmp_path):
    """Looking where nothing was ever written says so, and writes nothing: `runs` ends with 0, `report` with 2."""
    done = shakedown("runs", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "")
    assert "there is no run yet" in done.stderr
    done = shakedown("report", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "there is no run yet" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_unknown_and_ambiguous_runs(store):
    """A run that is not there, or a beginning that several share, is a usage error that names it; one that is unique is found."""
    for name, words in (("nope", "there is no run 'nope'"), ("run-", "7 runs begin with 'run-'")):
        done = shakedown("report", name, "--root", store, "--json")
        assert (done.returncode, done.stdout) == (2, "")
        assert words in done.stderr
        assert "hint:" in done.stderr
    assert json.loads(shakedown("report", "run-pas", "--root", store, "--json").stdout)["run"] == "run-passed"


def test_the_report_can_be_read_in_the_terminal(store):
    """`--terminal` prints the report's text, laid out for the width there is, and writes nothing."""
    done = shakedown("report", "run-failed", "--root", store, "--terminal")
    assert done.returncode == 0
    assert "✗ failed" in done.stdout
    assert "The system does not hold." in done.stdout
    assert "|---" not in done.stdout
    assert max(len(line) for line in done.stdout.splitlines()) <= 80
    assert not (store / "runs" / "run-failed" / "report").exists()


def test_a_run_that_goes_on_and_one_that_was_killed(copy):
    """Both are rendered as far as they got, neither with a verdict; `report` ends with 0."""
    for name, words in (
        ("run-empty", "**The run still goes on.**"),
        ("run-interrupted", "**The run was interrupted.**"),
    ):
        done = shakedown("report", name, "--root", copy)
        assert (done.returncode, done.stderr) == (0, "")
        assert words in Path(done.stdout.strip()).read_text(encoding="utf-8")


def test_json_writes_no_file(copy):
    """`--json` prints the summary whole and leaves the folder alone; what the report's file says is the same."""
    done = shakedown("report", "run-failed", "--json", "--root", copy)
    assert not (copy / "runs").exists()
    shakedown("report", "run-failed", "--root", copy)
    assert (copy / "runs" / "run-failed" / "report" / "summary.json").read_text(encoding="utf-8") == done.stdout


def test_a_template_of_ones_own(store, tmp_path):
    """`--template` prints what it makes, or writes it with `--out`; a mistake is exit 2 with file and line, and no traceback."""
    (tmp_path / "own.md.j2").write_text("{{ run }} {{ verdict }}\n")
    done = shakedown("report", "run-failed", "--template", "own.md.j2", "--root", store, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "run-failed failed\n", "")
    done = shakedown("report", "run-failed", "--template", "own.md.j2", "--out", "out", "--root", store, cwd=tmp_path)
    assert done.stdout.strip() == "out/own.md"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["own.md"]
    (tmp_path / "own.md.j2").write_text("\n{{ verdikt }}")
    done = shakedown("report", "run-failed", "--template", "own.md.j2", "--root", store, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "own.md.j2:2: there is no `verdikt`" in done.stderr


def test_no_space_for_the_report(copy, tmp_path):
    """A chart that cannot be written whole: one error with a hint, exit 4, no half file, and the old report stays."""
    folder = tmp_path / "report"
    folder.mkdir()
    (folder / "report.md").write_text("old")
    done = shakedown("report", "run-passed", "--root", copy, "--out", folder,
                     preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, LIMIT)))  # fmt: skip
    assert done.returncode == 4
    assert "the report cannot be written to" in done.stderr
    assert "hint:" in done.stderr
    assert (folder / "report.md").read_text() == "old"
    assert [path for path in folder.rglob("*") if path.name.endswith(".tmp")] == []


@pytest.mark.parametrize("arguments", [("runs",), ("report", "--json"), ("report",)])
def test_no_space_for_the_output(copy, arguments):
    """Output that goes to a full disk is an error with exit 4, not one that reads as a verdict."""
    with Path("/dev/full").open("w") as full:
        done = shakedown(*arguments, "--root", copy, stdout=full)
    assert done.returncode == 4
    assert "No space left" in done.stderr


@pytest.mark.parametrize("arguments", [("runs",), ("report", "--json")])
def test_nobody_reads_the_output(store, arguments):
    """A closed pipe ends like SIGPIPE does, with 141: neither 0 nor 1, which are verdicts."""
    reader, writer = os.pipe()
    os.close(reader)
    done = shakedown(*arguments, "--root", store, stdout=writer)
    os.close(writer)
    assert done.returncode == 141


def test_a_folder_that_cannot_hold_results(store, tmp_path):
    """A file instead of a folder, a report's folder that is a file: exit 4 with the path."""
    (tmp_path / "file").write_text("")
    for arguments in (
        ("runs", "--root", tmp_path / "file"),
        ("report", "run-passed", "--root", store, "--out", tmp_path / "file"),
    ):
        done = shakedown(*arguments)
        assert done.returncode == 4
        assert str(tmp_path / "file") in done.stderr


def rubbish(path: Path) -> None:
    """Not a database."""
    path.write_bytes(b"rubbish " * 1000)


def torn(path: Path) -> None:
    """A database whose pages are overwritten."""
    path.write_bytes(path.read_bytes()[:8192] + b"A" * 100_000)


def foreign(path: Path) -> None:
    """A database with values that this program does not know."""
    with sqlite3.connect(path) as connection:
        connection.execute("update run set environment = '{'")


def folder(path: Path) -> None:
    """A folder of the database's name."""
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("damage", [rubbish, torn, foreign, folder])
def test_a_damaged_database(copy, damage):
    """Whatever stands in its place, a database that cannot be read is one error with exit 4."""
    damage(copy / "shakedown.db")
    for arguments in (("runs",), ("report", "last")):
        done = shakedown(*arguments, "--root", copy)
        assert (done.returncode, done.stdout) == (4, "")
        assert done.stderr.startswith("error: ")


@pytest.mark.parametrize("url", ["nonsense", "postgresql://user:hidden@127.0.0.1:1/none"])
def test_a_database_that_is_not_there(url, tmp_path):
    """A wrong URL, or one that nobody answers at: exit 4, and its password stays hidden."""
    done = shakedown("runs", cwd=tmp_path, env={"SHAKEDOWN_DATABASE_URL": url})
    assert done.returncode == 4
    assert done.stderr.startswith("error: ")
    assert "hidden" not in done.stderr


def test_one_row_that_cannot_be_read(copy):
    """A threshold with a verdict that nobody knows spoils its own run's report, not the others."""
    with sqlite3.connect(copy / "shakedown.db") as connection:
        connection.execute("update threshold set verdict = 'great' where run_id = 'run-passed'")
    done = shakedown("report", "run-passed", "--root", copy, "--json")
    assert done.returncode == 4
    assert "'great'" in done.stderr
    assert shakedown("report", "run-skipped", "--root", copy, "--json").returncode == 0


def test_doctor_makes_no_database(engine, tmp_path):
    """`doctor` looks without writing, in plain lines of at most 80 characters where it explains a lack."""
    done = shakedown("doctor", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == []
    assert "✓ database: none yet; it will be .shakedown/shakedown.db" in done.stdout
    assert "✓ Docker engine: " in done.stdout
    assert all(len(line) <= 80 for line in done.stdout.splitlines() if line.startswith("    "))


def test_doctor_without_an_engine_or_database(tmp_path):
    """What is essential and missing ends with 4, and says what it means; the rest is looked at all the same."""
    (tmp_path / "file").write_text("")
    done = shakedown("doctor", "--root", tmp_path / "file", env={"DOCKER_HOST": f"unix://{tmp_path}/none.sock"})
    assert done.returncode == 4
    assert "✗ database: " in done.stdout
    assert "✗ Docker engine: " in done.stdout
    assert "✓ Python: " in done.stdout


def test_validate_is_plain(tmp_path):
    """A plan without errors is told on standard output; one with errors on standard error, with exit 2."""
    assert shakedown("init", cwd=tmp_path).returncode == 0
    done = shakedown("validate", "shakedown.yaml", cwd=tmp_path, env={"SERVICE_URL": "http://127.0.0.1:1"})
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("shakedown.yaml: no errors\n1 service; planned: ")
    (tmp_path / "shakedown.yaml").write_text("version: 1\nname: x\n")
    done = shakedown("validate", "shakedown.yaml", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")


def test_a_terminal_that_knows_ascii_alone(store):
    """Characters that an encoding lacks are shown as escapes."""
    done = shakedown("runs", "--root", store, env={"PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stderr) == (0, "")
    assert "\\u2013" in done.stdout


def test_a_run_killed_while_it_is_looked_at(tmp_path):
    """A run whose process is gone is `interrupted` at the next look; one whose process lives is `running`."""
    root = tmp_path / ".shakedown"
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        began = born(process.pid)
        made = Store.open(root)
        begin(made, "run-1", 1, host=os.uname().nodename, pid=process.pid, pid_created=began)
        made.engine.dispose()
        assert "running" in shakedown("runs", "--root", root).stdout
        process.send_signal(signal.SIGKILL)
    assert "interrupted" in shakedown("runs", "--root", root).stdout
