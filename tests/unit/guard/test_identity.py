"""Which process a number stands for, whatever becomes of the time of day."""

import os
import subprocess
import sys

import psutil
import pytest

from shakedown.guard import Owner
from shakedown.guard.identity import born, is_same


@pytest.mark.skipif(
    sys.platform != "linux", reason="elsewhere the kernel keeps the time of day at which a process began"
)
@pytest.mark.parametrize("step", [-3600.0, -1.0, 1.0, 3600.0])
def test_a_clock_that_is_corrected_makes_nobody_another_one(monkeypatch, step):
    """The time of the boot, from which times of day are reckoned, moves: the process is the same, and its run lives."""
    owner, before = Owner.current(), psutil.boot_time()
    began = psutil.Process().create_time()
    monkeypatch.setattr("psutil._pslinux.boot_time", lambda: before + step)
    assert psutil.Process().create_time() == pytest.approx(began + step)  # whom this would make another one
    assert owner.alive()
    assert Owner.parse(str(owner)).alive()
    assert Owner.current() == owner


def test_a_process_is_no_other_one():
    """Of two processes that live one after the other each is itself alone; one that is gone is told as gone."""
    with subprocess.Popen(["sleep", "60"]) as process:
        began = born(process.pid)
        assert is_same(process.pid, began)
        assert is_same(os.getpid(), born(os.getpid()))
        assert not is_same(os.getpid(), began + 1)
        assert not Owner.of(os.getpid(), born(os.getpid()) - 0.5).alive()
        process.kill()
    with pytest.raises(psutil.NoSuchProcess):
        born(process.pid)
    assert not Owner.of(process.pid, began).alive()


def test_a_name_with_brackets_and_blanks(tmp_path):
    """The kernel's line is read behind the name, whatever that is."""
    program = tmp_path / "a) 1 (b"
    program.symlink_to(sys.executable)
    with subprocess.Popen([program, "-c", "input()"], stdin=subprocess.PIPE) as process:
        assert born(process.pid) == pytest.approx(
            psutil.Process(process.pid).create_time() - psutil.boot_time(), abs=0.1
        )
        process.kill()
