"""Faults of connections to processes and outside URLs: the proxy in the foreground."""

import signal
import socket
import socketserver
import subprocess
import sys
import threading
import time

import pytest
import yaml

from shakedown.clock import RunClock
from shakedown.guard import Journal
from shakedown.plan import load_plan
from shakedown.plan.faults.network import NetworkDataLimit, NetworkLatency, NetworkRefused
from shakedown.services import System
from shakedown.services.ports import free_port
from tests.integration.faults.echo import PROGRAM, Client, trip
from tests.integration.faults.harness import inject

pytestmark = pytest.mark.integration

LATENCY = {"type": "network-latency", "target": "echo", "latency": "200ms"}


@pytest.fixture
def fronted(tmp_path, run_name):
    """Start a system whose plan has a fault for the service `echo`; it is stopped at the end."""
    started = []

    def make(service: dict, *, fault: dict = LATENCY) -> System:
        plan = {
            "version": 1, "name": "test", "services": {"echo": service},
            "scenarios": {"s": {"executor": {"type": "constant-vus", "vus": 1, "duration": "1s"},
                                "http": {"target": "echo.http", "requests": [{"name": "r", "get": "/"}]}}},
            "stages": {"faults": {"load": "s", "experiments": [
                {"name": "e", "fault": fault, "hold": "1s", "recover_within": "5s"}]}},
        }  # fmt: skip
        path = tmp_path / "plan.yaml"
        path.write_text(yaml.safe_dump(plan), encoding="utf-8")
        loaded = load_plan(path, environ={})
        journal = Journal(tmp_path / "journal.jsonl", run=run_name, plan="test")
        system = System(loaded.plan, base=tmp_path, run=run_name, clock=RunClock.start(), journal=journal,
                        run_dir=tmp_path, on_event=lambda _: None, redact=loaded.redactor.redact)  # fmt: skip
        started.append(system)
        system.start(threading.Event())
        return system

    yield make
    for system in started:
        assert system.stop() == []
        assert system.journal.open_intents() == []


@pytest.fixture
def process() -> dict:
    """The echo as a program on this machine, at a free port."""
    program = PROGRAM.replace("7001", "{port.told}").replace("7000", "{port.http}")
    return {
        "process": [sys.executable, "-u", "-c", program],
        "ports": {"http": 0, "told": 0},
        "health": {"tcp": "told"},
    }


def test_a_process_is_reached_through_the_proxy_from_the_start_on(fronted, process):
    """Its addresses are the proxy's; a connection that is open feels the fault, and goes on after it."""
    system = fronted(process)
    inner = system.runner("echo").handle.addresses["http"]
    assert system.address("echo.http") != inner
    assert system.environment()["SHAKEDOWN_ECHO_HTTP"] == system.address("echo.http").url
    with Client(system) as client:
        assert min(client.trip() for _ in range(3)) < 0.1
        record, found = inject(system, NetworkLatency(target="echo", latency=0.2), 1.5, client.trip)
        assert record.error is None, record.error
        assert record.effect.held, record.effect
        assert found[0] >= 0.19
        assert record.gone.held, record.gone
        assert min(client.trip() for _ in range(3)) < 0.1


def test_some_faults_of_a_process(fronted, process):
    """Refused and cut, as for a container."""
    system = fronted(process)
    record, found = inject(system, NetworkRefused(target="echo"), 1, lambda: trip(system, 1))
    assert found == [None]
    assert record.effect.held, record.effect
    record, found = inject(system, NetworkDataLimit(target="echo", bytes=100), 1, lambda: len(Client(system).ask(500)))
    assert found == [100]
    assert record.effect.held, record.effect
    assert trip(system) is not None


def test_an_outside_url(fronted):
    """What already answers gets the proxy before it as well."""

    class Echo(socketserver.StreamRequestHandler):
        def handle(self):
            for line in self.rfile:
                self.wfile.write(line)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        system = fronted({"url": f"http://127.0.0.1:{server.server_address[1]}"})
        record, found = inject(system, NetworkLatency(target="echo", latency=0.2), 1.5, lambda: trip(system))
        server.shutdown()
    assert record.effect.held, record.effect
    assert found[0] >= 0.19


def test_the_deadline_is_the_proxys_own(fronted, process):
    """Nobody reverts: at the deadline the proxy does."""
    from shakedown.faults.network.latency import LatencyFault
    from tests.integration.faults.harness import context_of

    system = fronted(process)
    fault = LatencyFault(NetworkLatency(target="echo", latency=0.5), context_of(system))
    fault.check()
    fault.inject(time.time() + 1)
    assert trip(system) >= 0.49
    until = time.monotonic() + 10
    while (trip(system) or 1) > 0.3 and time.monotonic() < until:
        pass
    assert trip(system) < 0.3
    assert fault.gone().held


def test_a_proxy_that_dies_is_no_pass(fronted, process):
    """The proxy killed in mid-fault: nothing is proved gone, and the way to the service is."""
    system = fronted(process)
    from shakedown.faults.network.latency import LatencyFault
    from tests.integration.faults.harness import context_of

    front = system.front("echo")
    fault = LatencyFault(NetworkLatency(target="echo", latency=0.2), context_of(system))
    fault.check()
    fault.inject(time.time() + 10)
    front._process.kill()
    front._process.wait()
    fault.revert()
    assert not fault.gone().held
    assert trip(system, 1) is None


def test_the_proxy_from_the_command_line():
    """`shakedown proxy`: hands on, slows, and tells at the end what it met; a mistake is one line and a hint."""
    shakedown = [sys.executable, "-c", "from shakedown.cli import main; main()", "proxy"]

    class Echo(socketserver.StreamRequestHandler):
        def handle(self):
            for line in self.rfile:
                self.wfile.write(line)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        to, port = f"127.0.0.1:{server.server_address[1]}", free_port()
        ways = ["--listen", f"127.0.0.1:{port}", "--to", to]
        fault = "{type: network-latency, latency: 200ms}"
        with subprocess.Popen(
            [*shakedown, *ways, "--fault", fault, "--for", "60s"], stderr=subprocess.PIPE, text=True
        ) as running:
            assert "network-latency 200 ms" in running.stderr.readline()
            with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
                begun = time.monotonic()
                client.sendall(b"hello\n")
                assert client.recv(10) == b"hello\n"
                assert time.monotonic() - begun >= 0.19
            running.send_signal(signal.SIGINT)
            assert "1 connections through the proxy" in running.stderr.read()
        wrong = subprocess.run(
            [*shakedown, *ways, "--fault", "{type: network-latency, latency: 0}"],
            capture_output=True,
            text=True,
            check=False,
        )
        server.shutdown()
    assert wrong.returncode == 2
    assert "latency: Input should be greater than 0" in wrong.stderr
    assert "hint: write --fault" in wrong.stderr
