"""Limits of open files of running processes: lowered and set back, also those of children since."""

import os
import resource
import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

if sys.platform != "linux":
    pytest.skip("only Linux changes limits from outside", allow_module_level=True)

from shakedown.faults.resource.rlimits import Lowered, Scope, lowest_free, soft_limit
from shakedown.guard.identity import born

# Says how many files it may have open, its own and a child's, once for each line it gets.
PROGRAM = """
import resource, subprocess, sys
for line in sys.stdin:
    child = subprocess.Popen(["sleep", "60"]) if line.strip() == "fork" else None
    print(resource.getrlimit(resource.RLIMIT_NOFILE)[0], child.pid if child else 0, flush=True)
"""


@pytest.fixture
def program() -> Iterator[subprocess.Popen[str]]:
    """A process of our own, with children on demand."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    process.stdin.write("\n")
    process.stdin.flush()
    process.stdout.readline()
    yield process
    for member in psutil.Process(process.pid).children(recursive=True):
        member.kill()
    process.kill()
    process.communicate()


def ask(program: subprocess.Popen[str], line: str = "") -> tuple[int, int]:
    program.stdin.write(f"{line}\n")
    program.stdin.flush()
    limit, child = program.stdout.readline().split()
    return int(limit), int(child)


def scope_of(program: subprocess.Popen[str]) -> Scope:
    return Scope(pid=program.pid, created=born(program.pid))


def test_lowered_and_set_back(program):
    """The process itself sees the lower limit, then its own again; hard limits are never touched."""
    before = resource.prlimit(program.pid, resource.RLIMIT_NOFILE)
    lowered = Lowered.plan(scope_of(program), leave=7)
    lowered.lower()
    assert ask(program)[0] == lowest_free(program.pid) + 7
    assert resource.prlimit(program.pid, resource.RLIMIT_NOFILE)[1] == before[1]
    again = Lowered.model_validate_json(lowered.model_dump_json())
    assert again.restore() == 0
    assert ask(program)[0] == before[0]
    assert again.restore() == 0
    assert resource.prlimit(program.pid, resource.RLIMIT_NOFILE) == before


def test_children_inherit_and_are_set_back(program):
    """A child that was started meanwhile gets the limit that its parent had before."""
    before = soft_limit(program.pid)
    lowered = Lowered.plan(scope_of(program), leave=30)
    lowered.lower()
    _, child = ask(program, "fork")
    assert soft_limit(child) < before
    assert child in lowered.left()
    assert lowered.restore() == 0
    assert soft_limit(child) == before


def test_a_process_that_chose_its_own_limit_is_left_alone(program):
    """What somebody set in the meantime is theirs."""
    lowered = Lowered.plan(scope_of(program), leave=3)
    lowered.lower()
    _, hard = resource.prlimit(program.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(program.pid, resource.RLIMIT_NOFILE, (99, hard))
    assert lowered.restore() == 0
    assert soft_limit(program.pid) == 99


def test_a_number_that_another_process_has_by_now():
    """The same number with another time of birth is another process: not touched."""
    mine = soft_limit(os.getpid())
    other = Lowered.model_validate(
        {"scope": {"pid": os.getpid(), "created": 1.0},
         "processes": [{"pid": os.getpid(), "created": 1.0, "soft": 5, "lowered": mine}]}
    )  # fmt: skip
    assert other.restore() == 0
    assert other.alive() == []
    assert soft_limit(os.getpid()) == mine


def test_a_limit_that_would_not_be_lower(program):
    """Nothing is planned for a process that may open less anyway."""
    assert Lowered.plan(scope_of(program), leave=10**9).processes == ()


def test_the_next_number(tmp_path):
    """The lowest free one, as the kernel gives it."""
    following = lowest_free(os.getpid())
    with (tmp_path / "file").open("w") as file:
        assert file.fileno() <= following
