"""Connections and packets over IPv6: a network of its own beside the run's, in which both services have addresses."""

import secrets

import pytest
from docker.types import IPAMConfig, IPAMPool

from shakedown.plan.faults.http import HttpStatus
from shakedown.plan.faults.network import NetworkLatency, NetworkPartition, NetworkRefused
from tests.integration.faults.harness import inject
from tests.integration.faults.web import PROGRAM

pytestmark = pytest.mark.integration

BOTH = PROGRAM.replace("    request_queue_size = 100", "    request_queue_size = 100\n    address_family = 10")
ASK = """
import sys, time, urllib.error, urllib.request
begun = time.monotonic()
try:
    said = urllib.request.urlopen(sys.argv[1], timeout=2).status
except urllib.error.HTTPError as error:
    said = error.code
except OSError as error:
    said = type(getattr(error, "reason", error)).__name__
print(said, round(time.monotonic() - begun, 2))
"""


@pytest.fixture
def six(make_system, python_image, engine):
    """Two services, and how one of them is called by the other over IPv6."""
    service = {"image": python_image, "entrypoint": ["python3", "-u", "-c", BOTH], "ports": {"http": 8000},
               "health": {"http": "http:/stats", "within": "60s"}}  # fmt: skip
    system = make_system({"web": service, "other": service})
    pool = IPAMPool(subnet=f"fd00:5d:{secrets.token_hex(2)}::/64")
    network = engine.networks.create(f"{system.network}-six", enable_ipv6=True, ipam=IPAMConfig(pool_configs=[pool]))
    containers = [engine.containers.get(system.handle(name).container) for name in ("web", "other")]
    try:
        for container in containers:
            network.connect(container)
        containers[0].reload()
        address = containers[0].attrs["NetworkSettings"]["Networks"][network.name]["GlobalIPv6Address"]

        def ask() -> list[str]:
            url = f"http://[{address}]:8000/stats"
            code, output = system.runner("other").run_inside(["python3", "-c", ASK, url])
            assert code == 0, output
            return output.split()

        assert ask()[0] == "200"
        yield system, ask
    finally:
        for container in containers:
            network.disconnect(container, force=True)
        network.remove()


@pytest.mark.parametrize(
    ("plan", "told"),
    [
        (HttpStatus(target="web", status=503), "503"),
        (NetworkLatency(target="web", latency=0.4), "200"),
        (NetworkRefused(target="web"), "ConnectionRefusedError"),
        (NetworkPartition(target="web", peers=["other"]), "TimeoutError"),
    ],
)
def test_over_ipv6(six, plan, told):
    """The proxy, a refusal and a partition act on IPv6 as on IPv4, are proved, and leave nothing behind."""
    system, ask = six
    record, found = inject(system, plan, 4, ask)
    assert record.error is None, record.error
    assert found[0][0] == told
    if isinstance(plan, NetworkLatency):
        assert float(found[0][1]) >= 0.4
    assert record.effect.held, record.effect
    assert "escape" not in record.effect.evidence
    assert record.gone.held, record.gone
    assert ask()[0] == "200"
