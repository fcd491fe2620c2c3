"""Readers of processes and sockets."""

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time

import psutil
import pytest

from shakedown.errors import ServiceError
from shakedown.observe.cgroups import find_cgroup
from shakedown.observe.engine import statistics_figures
from shakedown.observe.lives import Followed, Life
from shakedown.observe.processes import HostReader, TreeReader
from shakedown.observe.rounds import Rounds
from shakedown.observe.sockets import NamespaceSockets, count_states
from shakedown.observe.sparing import Sparing

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
    assert count_states([f"{TABLE}   4: torn".encode(), b""]) == {
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


# ----------------------------------------------------------------------------------------------------- sockets, sparingly
def namespace(folder, opened, tcp):
    """What the kernel tells of a namespace."""
    net = folder / "7" / "net"
    net.mkdir(parents=True, exist_ok=True)
    (net / "snmp").write_text(f"Tcp: RtoMin ActiveOpens PassiveOpens CurrEstab\nTcp: 200 {opened} 0 1\n")
    (net / "sockstat").write_text("sockets: used 3\nTCP: inuse 4 orphan 0 tw 0 alloc 5 mem 1\n")
    (net / "sockstat6").write_text("TCP6: inuse 0\n")
    (net / "tcp").write_text(tcp)


def test_a_namespace_that_opened_nothing_is_not_listed_again(tmp_path):
    """Listeners alone, and no connection since: none, without a look; one more connection: all are counted."""
    heading, listening, *rest = ("  sl  local_address\n" + TABLE).splitlines(keepends=True)
    namespace(tmp_path, 5, heading + listening)
    sockets = NamespaceSockets(tmp_path)
    none = {"sockets_established": 0.0, "sockets_close_wait": 0.0, "sockets_time_wait": 0.0}
    assert sockets.read(7) == none
    (tmp_path / "7" / "net" / "tcp").unlink()
    assert sockets.read(7) == none
    namespace(tmp_path, 6, heading + listening + "".join(rest))
    assert sockets.read(7, whole=True) == {**none, "sockets_established": 1.0, "sockets_close_wait": 2.0}
    assert sockets.read(8, whole=True) == {}


def test_what_costs_much_is_done_less_often():
    """3 ms at 0.3 % of a core: once a second; when all is wanted, at once."""
    now = {"clock": 0.0, "cost": 0.0}

    def look():
        now["cost"] += 0.003
        return {"x": 1.0}

    sparing = Sparing(0.003, clock=lambda: now["clock"], cost=lambda: now["cost"])
    found = []
    for tenth in range(25):
        now["clock"] = tenth / 10
        found.append(bool(sparing.read(look, whole=tenth == 5)))
    assert [tenth for tenth, was in enumerate(found) if was] == [0, 5, 15]


# ------------------------------------------------------------------------------------------------------- control groups
def kernel(root, files):
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def test_control_groups_of_version_2(tmp_path):
    """All in one folder, with the names and meanings of the engine; what is not switched on is left out."""
    group = "sys/fs/cgroup/system.slice/docker-abc123.scope"
    kernel(tmp_path, {
        "proc/self/mounts": "proc /proc proc rw 0 0\ncgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0\n",
        "proc/77/cgroup": "0::/system.slice/docker-abc123.scope\n",
        f"{group}/memory.current": "50000000\n", f"{group}/memory.events": "low 0\noom 3\noom_kill 2\n",
        f"{group}/memory.stat": "anon 30000000\nfile 18000000\ninactive_file 15000000\n",
        f"{group}/pids.current": "4\n", f"{group}/cgroup.procs": "77\n",
        f"{group}/io.stat": "8:0 rbytes=100 wbytes=200 rios=1 wios=2\n8:16 rbytes=1 wbytes=2 rios=1 wios=1\n",
        f"{group}/cpu.stat": "usage_usec 2500000\nuser_usec 1\n",
    })  # fmt: skip
    assert find_cgroup(77, "another", tmp_path) is None  # that process is not the container's: an engine elsewhere
    found = find_cgroup(77, "abc123", tmp_path)
    figures = found.read()
    assert figures.values == {
        "memory": 35e6, "memory_with_cache": 50e6, "memory_anon": 30e6, "pids": 4.0, "block_read": 101.0, "block_write": 202.0,
    }  # fmt: skip
    assert (figures.cpu, figures.oom_kills) == (2.5, 2)
    assert found.processes() == [77]
    (tmp_path / group / "io.stat").unlink()
    assert "block_read" not in found.read().values
    (tmp_path / group / "memory.current").unlink()
    with pytest.raises(OSError):
        found.read()


def test_the_engine_tells_the_same_of_both_versions():
    """Statistics as version 1 and as version 2 have them; what the engine does not tell is no zero."""
    first = {"memory_stats": {"usage": 50e6, "stats": {"total_rss": 30e6, "total_inactive_file": 15e6}},
             "pids_stats": {"current": 4}, "networks": {"eth0": {"rx_bytes": 7, "tx_bytes": 8}},
             "blkio_stats": {"io_service_bytes_recursive": [{"op": "Read", "value": 9}, {"op": "Write", "value": 1}]}}  # fmt: skip
    second = {**first, "memory_stats": {"usage": 50e6, "stats": {"anon": 30e6, "inactive_file": 15e6}}}
    second["blkio_stats"] = {"io_service_bytes_recursive": [{"op": "read", "value": 9}, {"op": "write", "value": 1}]}
    assert statistics_figures(first) == statistics_figures(second)
    assert statistics_figures(first)["memory"] == 35e6
    bare = {"memory_stats": {"usage": 1.0}, "blkio_stats": {"io_service_bytes_recursive": None}}
    assert statistics_figures(bare) == {"memory": 1.0, "memory_with_cache": 1.0}


# --------------------------------------------------------------------------------------------------------- containers' lives
def life(started, container="c", status="running"):
    return Life(container, 1, status, started, host_network=False)


def test_restarts_are_counted_once():
    """By events and by looks, in whichever order they come; late events of a known start count nothing."""
    followed = Followed(lambda: "c")
    followed.take(life("1"), flagged=False)
    followed.happened.append(("start", 1.0))  # of the life that was found already
    followed.take(life("1"), flagged=False)
    assert followed.restarts == 0
    followed.take(life("2"), flagged=False)  # the look came first
    followed.happened.append(("start", 2.0))
    followed.take(life("2"), flagged=False)
    assert followed.restarts == 1
    followed.happened.extend([("die", 3.0), ("start", 3.1), ("die", 3.2), ("start", 3.3)])  # a loop of crashes
    followed.take(life("4"), flagged=False)
    assert followed.restarts == 3
    followed.lose(ServiceError("gone"), gone=True)
    followed.take(life("5", "another"), flagged=False)
    assert followed.restarts == 4


def test_kills_for_want_of_memory():
    """The kernel's count where it was read; the engine's word for a life that ended before; many words for one kill are one."""
    followed = Followed(lambda: "c")
    followed.take(life("1"), flagged=False)
    followed.happened.extend([("oom", 10.0), ("oom", 10.1), ("oom", 10.2), ("oom", 15.0)])
    followed.take(life("1"), flagged=False)
    assert followed.oom_kills == 2  # no count: an engine elsewhere
    followed.count_kills(life("1"), 3)
    assert followed.oom_kills == 3
    followed.happened.extend([("start", 20.0), ("oom", 22.0), ("die", 22.1), ("start", 23.0)])
    followed.take(life("3"), flagged=False)
    followed.count_kills(life("3"), 0)
    assert followed.oom_kills == 3
    followed.happened.extend([("oom", 30.0), ("die", 30.1)])
    followed.take(life("3", status="exited"), flagged=True)
    assert followed.oom_kills == 4


# -------------------------------------------------------------------------------------------------------------------- rounds
def test_who_does_not_answer_is_told_once_and_awaited_by_nobody():
    """The others are read in each round; it is not asked twice at once; when it answers, its samples come."""
    answers, events = threading.Event(), []

    def slow():
        answers.wait(10)
        return {"late": 1.0}

    def broken():
        raise ServiceError("it is broken")

    rounds = Rounds(time.monotonic, events.append)
    rounds.add("db", "probe", slow, waits=True)
    rounds.add("host", "host", lambda: {"cpu": 1.0})
    rounds.add("web", "metrics", broken)
    due = [{}, {}, {"y": 1.0}, {}]
    rounds.add("api", "probe", lambda: broken() if len(due) == 4 and not due.append({}) else due.pop(0))
    found = [[sample.series for sample in rounds.round(0.01, whole=False)] for _ in range(3)]
    assert found == [["cpu"]] * 3
    assert [(event.kind, event.subject, event.message) for event in events] == [
        ("sampler.failed", "web", "metrics: it is broken"),
        ("sampler.failed", "api", "probe: it is broken"),
    ]  # nothing, because it was not due, is no recovery
    answers.set()
    late, whole = rounds.whole()
    assert [sample.series for sample in late] == ["late"]
    assert sorted(sample.series for sample in whole) == ["cpu", "late"]
    assert rounds.cost.seconds > 0
    rounds.close()
