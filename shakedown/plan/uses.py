"""How a stage's parts are called, and what their requests are."""

from shakedown.plan.model import UseScenario, UseSuite
from shakedown.plan.scenarios import Scenario

__all__ = ["label_of", "request_tags"]


def label_of(use: UseScenario | UseSuite) -> str:
    """What thresholds and reports call a load or suite of a stage."""
    return use.label or (use.use if isinstance(use, UseScenario) else use.suite)


def request_tags(scenario: Scenario) -> dict[str, dict[str, str]]:
    """The requests of a scenario, with their tags."""
    return {name: scenario.tags.get(name, {}) for name in scenario.operations}
