"""Calibration against the real reference server."""

import json
import os
import socket
import subprocess
import sys

import psutil
import pytest

from shakedown.cli.calibrate import calibrate_machine
from shakedown.load.calibrate import read_calibration
from shakedown.load.reference_server import ANSWER, reference_server

pytestmark = pytest.mark.integration


def test_this_machine(tmp_path, capsys):
    """Every figure is measured, they fit each other, and what is printed is what is kept."""
    calibrate_machine(tmp_path, as_json=True)
    kept = read_calibration(tmp_path)
    assert json.loads(capsys.readouterr().out) == json.loads(kept.model_dump_json())
    assert 0 < kept.latency_min <= kept.latency_p50
    assert 0 <= kept.timer_p50 <= kept.timer_p99
    assert 0 < 1 / kept.closed_one < 1e-3
    assert 0 < kept.cpu_per_request < 1e-3
    assert kept.open_tried
    assert kept.open_one == max((rate for rate, held in kept.open_tried if held), default=0.0)
    assert kept.open_one < kept.closed_one
    assert (kept.open_lag_p99 is None) == (kept.open_one == 0)


@pytest.mark.parametrize(
    "pieces",
    [
        [b"GET / HTTP/1.1\r\n\r\n"],
        [b"GET / HT", b"TP/1.1\r\n\r", b"\n"],
        [b"GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n"],
    ],
)
def test_the_reference_server_answers_each_request_once(pieces):
    """Whole, in pieces, or two at once: as many answers as requests."""
    wanted = ANSWER * b"".join(pieces).count(b"\r\n\r\n")
    with reference_server() as port, socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            client.sendall(piece)
        client.shutdown(socket.SHUT_WR)
        answer = b""
        while part := client.recv(4096):
            answer += part
    assert answer == wanted


def test_the_reference_server_ends_with_its_parent():
    """Kill -9 of whoever started it: it ends."""
    code = (
        "import shakedown.load.reference_server as r, psutil, time\n"
        "with r.reference_server():\n"
        "    print(psutil.Process().children()[0].pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=os.environ) as parent:
        served = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
        _, alive = psutil.wait_procs([served], timeout=10)
    assert not alive
