"""Readers of processes and sockets."""

import contextlib
import os
import socket
import subprocess
import sys

import psutil

from shakedown.observe.processes import HostReader, TreeReader
from shakedown.observe.sockets import count_states

# The kernel's own columns: slot, local, remote, state …
TABLE = """\
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   1: 0100007F:1F90 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 2 1 0 20 4 30 10 -1
   2: 0100007F:1F90 0100007F:9C41 08 00000000:00000000 00:00000000 00000000     0        0 3 1 0 20 4 30 10 -1
   3: 0100007F:1F90 0100007F:9C42 08 00000000:00000000 00:00000000 00000000     0        0 4 1 0 20 4 30 10 -1
"""


@contextlib.contextmanager
def program(code: str):
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        try:
            yield process.pid
        finally:
            process.kill()


def test_sockets_by_state():
    """Established, and ended by the other side; a listening one is neither; torn lines are passed over."""
    assert count_states([*TABLE.splitlines(), "   4: torn"]) == {
        "sockets_established": 1.0, "sockets_close_wait": 2.0, "sockets_time_wait": 0.0,
    }  # fmt: skip


def test_a_program_that_is_started_again_is_still_read():
    """The number is asked for each time; CPU, which counts from reading to reading, begins anew with it."""
    sleep = "import time; print(flush=True); time.sleep(60)"
    with program(sleep) as first, program(sleep) as second:
        pids = [first, first, second, second, None]
        reader = TreeReader(lambda: pids.pop(0))
        one, two, other, again = (reader.read() for _ in range(4))
    assert one["memory"] > 1e6
    assert ["cpu" in values for values in (one, two, other, again)] == [False, True, False, True]
    assert other["pids"] == 1
    assert reader.read() == {}


def test_what_a_program_holds():
    """Files, sockets and children are counted; its own memory is at most what it shares."""
    code = (
        "import socket, subprocess, sys, time\n"
        "server = socket.create_server(('127.0.0.1', 0)); ends = [socket.create_connection(server.getsockname()) for _ in range(3)]\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print(flush=True); time.sleep(60)"
    )
    with program(code) as pid:
        values = TreeReader(lambda: pid).read()
        for child in psutil.Process(pid).children():
            child.kill()
    assert values["pids"] == 2
    assert values["sockets_established"] == 3
    assert values["open_files"] >= 7
    assert 0 < values["memory_uss"] <= values["memory"]


def test_the_host():
    """Memory, and traffic over the loopback, which counts up."""
    reader = HostReader()
    before = reader.read()
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        client.sendall(b"x" * 50_000)
    after = reader.read()
    assert before["memory"] > 0
    assert after["network_tx"] >= before["network_tx"] + 50_000
    assert 0 <= after.get("cpu", 0.0) <= os.cpu_count()
