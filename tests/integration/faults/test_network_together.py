"""Faults of connections at once on one target, and connections over IPv6."""

import threading
import time

import pytest

from shakedown.faults import build_fault
from shakedown.faults.agents import AgentLink
from shakedown.guard.labels import RUN
from shakedown.plan.faults.network import NetworkDataLimit, NetworkLatency
from tests.integration.faults.echo import PROGRAM, Client, service, trip
from tests.integration.faults.harness import context_of, inject

pytestmark = pytest.mark.integration


def test_two_at_once_in_one_proxy(make_system, python_image):
    """Latency and a limit of bytes stack; one is reverted while the other goes on; one agent serves both."""
    system = make_system({"echo": service(python_image)})
    context = context_of(system)
    slow = build_fault(NetworkLatency(target="echo", latency=0.2, ports=[7000]), context)
    short = build_fault(NetworkDataLimit(target="echo", bytes=100, ports=[7000]), context)
    for fault in (slow, short):
        fault.check()
    assert slow.agent is short.agent
    for fault in (slow, short):
        fault.inject(time.time() + 30)

    def ask() -> tuple[int, float]:
        with Client(system) as client:
            begun = time.monotonic()
            return len(client.ask(500)), time.monotonic() - begun

    size, seconds = ask()
    assert size == 100
    assert seconds >= 0.19
    assert slow.effect().held
    assert short.effect().held
    slow.revert()
    size, seconds = ask()
    assert size == 100
    assert seconds < 0.19
    assert slow.gone().held
    assert not short.gone().held
    short.revert()
    assert ask()[0] == 500
    assert short.gone().held
    context.agents.close()


def test_a_load_of_connections_meets_a_fault_that_comes_and_goes(make_system, python_image):
    """Under load, a fault that ends breaks nobody: every connection through the proxy gets all its answers."""
    system = make_system({"echo": service(python_image)})
    context = context_of(system)
    fault = build_fault(NetworkLatency(target="echo", latency=0.02, jitter=0.01, ports=[7000]), context)
    fault.check()
    fault.inject(time.time() + 30)
    wrong: list[str] = []

    def use() -> None:
        try:
            with Client(system) as client:
                for _ in range(40):
                    client.trip()
        except OSError as error:
            wrong.append(str(error))

    threads = [threading.Thread(target=use) for _ in range(20)]
    for thread in threads:
        thread.start()
    time.sleep(0.3)
    fault.revert()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert fault.stats()["broken"] == 0
    context.agents.close()


def test_a_target_that_listens_where_the_proxy_would(make_system, python_image):
    """The proxy takes another port, and the fault works."""
    program = service(python_image)
    program["entrypoint"][-1] = PROGRAM.replace("7000", "15999")
    system = make_system({"echo": {**program, "ports": {"http": 15999, "told": 7001}}})
    record, found = inject(system, NetworkLatency(target="echo", latency=0.2), 1.5, lambda: trip(system))
    assert record.effect.held, record.effect
    assert found[0] >= 0.19
    assert trip(system) < 0.15


def test_connections_over_ipv6_are_caught(make_system, python_image, engine, run_name):
    """A target with an IPv6 address: a connection to it is slowed as well."""
    from docker.errors import APIError
    from docker.types import IPAMConfig, IPAMPool

    system = make_system({"echo": service(python_image)})
    subnet = f"fd00:{run_name[-8:-4]}:{run_name[-4:]}::/64"
    pool = IPAMConfig(pool_configs=[IPAMPool(subnet=subnet)])
    try:
        network = engine.networks.create(
            f"shakedown-{run_name}-six", enable_ipv6=True, ipam=pool, labels=system.labels.of()
        )
    except APIError as error:
        pytest.skip(f"this engine makes no network with IPv6: {error.explanation}")
    server = None
    try:
        server = engine.containers.run(
            python_image, entrypoint=["python3", "-u", "-c", "import socketserver as s\ns.TCPServer.address_family = 10\n" + PROGRAM],
            detach=True, network=network.name, labels=system.labels.of(),
        )  # fmt: skip
        assert RUN in server.labels
        server.reload()
        address = server.attrs["NetworkSettings"]["Networks"][network.name]["GlobalIPv6Address"]
        if not address:
            pytest.skip("the engine gave no IPv6 address")
        system.handle("echo").addresses["http"] = type(system.address("echo.http"))(address, 7000)
        for _ in range(100):
            if trip(system, 1):
                break
            time.sleep(0.05)
        assert trip(system) < 0.15
        link = AgentLink(system, system.journal, "six", server)
        try:
            order = {"connections": [{"direction": "in", "ports": [7000]}], "latency": 0.2}
            link.ask("inject", kind="latency", tag="shakedown:six", deadline=time.time() + 30, **order)
            stats = link.ask("stats", tag="shakedown:six")
            if stats["uncovered"]:
                pytest.skip(stats["uncovered"])
            assert trip(system) >= 0.19
            link.ask("revert", tag="shakedown:six")
            assert trip(system) < 0.15
            assert link.ask("stats", tag="shakedown:six")["rules"] == 0
        finally:
            link.close()
    finally:
        if server is not None:
            server.remove(force=True)
        network.remove()
