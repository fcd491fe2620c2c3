"""What everything of ours carries, so that only what is ours is ever touched."""

from dataclasses import dataclass

__all__ = ["COMPOSE_PROJECT", "IMAGE", "OWNER", "PLAN", "RUN", "SERVICE", "RunLabels"]

RUN = "shakedown.run"
PLAN = "shakedown.plan"
SERVICE = "shakedown.service"
OWNER = "shakedown.owner"  # `Owner` as text: pid:create-time:machine of the process that started it
IMAGE = "shakedown.image"
COMPOSE_PROJECT = "com.docker.compose.project"  # Compose's own; not ours, where RUN is missing beside it


@dataclass(frozen=True, slots=True)
class RunLabels:
    """The labels of one run's containers, networks and volumes."""

    run: str
    plan: str
    owner: str

    def of(self, service: str | None = None) -> dict[str, str]:
        """The labels as a mapping, with the service's name when it is one."""
        labels = {RUN: self.run, PLAN: self.plan, OWNER: self.owner}
        return {**labels, SERVICE: service} if service else labels
