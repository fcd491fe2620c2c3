"""What every test gets: an environment of its own, and the certainty that nothing of it stays behind."""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("repeatable", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("repeatable")

ROOT = Path(__file__).parent.parent
COURIER = ROOT / "examples" / "courier" / "plan.yaml"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of the tests."""
    parser.addoption(
        "--update-golden", action="store_true", help="write golden files anew instead of comparing with them"
    )


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No setting of the developer's reaches a test."""
    for name in list(os.environ):
        if name.startswith(("SHAKEDOWN_", "COURIER_", "PREFECT_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path_factory.getbasetemp() / "prefect"))
    monkeypatch.setenv("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
    monkeypatch.setenv("DO_NOT_TRACK", "1")


@pytest.fixture(scope="session")
def engine():
    """A client of the Docker engine."""
    from shakedown.guard import find_engine

    client = find_engine()
    yield client
    client.close()


@pytest.fixture
def run_name(request: pytest.FixtureRequest) -> Iterator[str]:
    """A run of its own; whatever carries its label afterwards fails the test, and is removed."""
    from shakedown.guard import CleanupReport, find_engine
    from shakedown.guard.cleanup import remove_labelled

    name = f"test-{uuid.uuid4().hex[:8]}"
    yield name
    report = CleanupReport()
    client = find_engine()
    remove_labelled(client, report, run=name, force=True)
    client.close()
    assert not report.failed, report.failed
    assert not report.done, f"left behind: {report.done}"
