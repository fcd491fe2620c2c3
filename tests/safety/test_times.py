"""When a fault began and ended, as the record has it, beside the times of packets that it met."""

import itertools
import json
import threading
import time
from typing import Any

import pytest

from shakedown.plan.faults.network import NetworkPartition
from tests.safety.test_ground import live

pytestmark = [pytest.mark.safety, pytest.mark.integration]

RECEIVE = """
import json, socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("", 7777)); s.settimeout(2)
times = []
try:
    while True:
        s.recv(64); times.append(time.monotonic())
except TimeoutError:
    print(json.dumps(times))
"""
SEND = """
import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
until = time.monotonic() + float({seconds})
while time.monotonic() < until:
    try: s.sendto(b"x", ("other", 7777))
    except OSError: pass
    time.sleep(0.005)
"""
KNOWN_TO = 0.05  # seconds


def test_times_are_known_to_50_ms(pair: Any):
    """The last packet before the fault and the first after it lie within 50 ms of the times in the record."""
    arrived: list[float] = []

    def receive() -> None:
        _, output = pair.runner("other").run_inside(["timeout", "30", "python3", "-c", RECEIVE])
        arrived.extend(json.loads(output.strip().splitlines()[-1]))

    def send() -> None:
        pair.runner("web").run_inside(["python3", "-c", SEND.format(seconds=6)])

    threads = [threading.Thread(target=receive), threading.Thread(target=send)]
    for thread in threads:
        thread.start()
        time.sleep(0.5)
    record = live(pair, NetworkPartition(target="web", peers=["other"]), hold=1.5)
    for thread in threads:
        thread.join(40)
    assert record.error is None, record.error
    clock = pair._clock
    times = [clock.at(one) for one in arrived]
    gap, begins = max((later - earlier, earlier) for earlier, later in itertools.pairwise(times))
    ends = begins + gap
    assert gap > 1.0, "no packet was kept back"
    assert record.asked_at - KNOWN_TO <= begins <= record.applied_at + KNOWN_TO, (begins, record)
    assert record.revert_asked_at - KNOWN_TO <= ends <= record.reverted_at + KNOWN_TO, (ends, record)
    assert record.applied_at - begins <= KNOWN_TO
    assert abs(record.reverted_at - ends) <= KNOWN_TO
