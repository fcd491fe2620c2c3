"""Fixtures of the safety tests, and the count of what the kill runs killed."""

import uuid
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from shakedown.faults.agents import agent_image
from tests.integration.conftest import make_system, pair, web  # noqa: F401 - fixtures
from tests.safety.world import Bystanders


@pytest.fixture(scope="session")
def python_image(engine: Any) -> str:
    """An image with Python and iptables: the fault agent's own."""
    return agent_image(engine)


@pytest.fixture(scope="session")
def bystanders(engine: Any, python_image: str) -> Iterator[Bystanders]:
    """What must be the same before and after."""
    made = Bystanders(engine, python_image, f"bystander-{uuid.uuid4().hex[:8]}")
    yield made
    made.remove()


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """How many kills of what, and under which faults."""
    killed: Counter[str] = Counter()
    faults: Counter[str] = Counter()
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, []):
            properties = dict(getattr(report, "user_properties", []))
            if "killed" in properties:
                state = "a fault open" if properties.get("open") else "none open"
                killed[f"{properties['killed']}, {state}: {outcome}"] += 1
                faults.update(properties["faults"].split())
    if killed:
        terminalreporter.write_line(f"killed: {dict(sorted(killed.items()))}")
        terminalreporter.write_line(f"under: {dict(sorted(faults.items()))}")
