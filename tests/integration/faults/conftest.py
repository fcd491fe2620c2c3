"""Every fault has tests of its own here. A few of each family run with `make test`, all of them with `make test-faults`."""

from pathlib import Path

import pytest

HERE = Path(__file__).parent
WITH_THE_OTHERS = {
    "test_agent_proxy.py", "test_service_kill.py", "test_network_latency.py", "test_network_partition.py",
    "test_http_status.py", "test_dns.py", "test_resource_limits.py", "test_databases_redis.py",
}  # fmt: skip


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the rest, which takes a quarter of an hour."""
    for item in items:
        if item.path.parent == HERE and item.path.name not in WITH_THE_OTHERS:
            item.add_marker("twins")
