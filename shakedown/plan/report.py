"""What a plan wants of its report beside what every report has."""

from pydantic import Field

from shakedown.plan.base import PlanModel

__all__ = ["ReportWishes"]


class ReportWishes(PlanModel):
    """Templates of one's own."""

    templates: list[str] = Field(
        default=[],
        description="Jinja templates, from the plan's folder; each is rendered into the folder of the run's report",
        max_length=20,
    )
