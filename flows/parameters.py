"""What the form in Prefect's UI asks for, and what it comes to."""

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from shakedown.errors import UsageError
from shakedown.plan import load_plan
from shakedown.session.live import STAGES

__all__ = ["Build", "Overrides", "PlanFile", "Profile", "Root", "Seed", "StageName", "Stages", "without_the_others"]

StageName = Literal["baseline", "stress", "endurance", "faults", "recovery"]

PlanFile = Annotated[str, Field(min_length=1, examples=["examples/courier/plan.yaml"])]
Profile = (
    Annotated[Literal["smoke", "nightly"], Field(title="smoke or nightly")]
    | Annotated[str, Field(title="another, by name", min_length=1)]
)
Stages = Annotated[list[StageName], Field(json_schema_extra={"uniqueItems": True})]
Overrides = Annotated[list[str], Field(examples=[["stages.stress.parallel.0.rate=50"]])]
Root = Annotated[str, Field(examples=["/var/lib/shakedown"])]
Seed = Annotated[int, Field(examples=[7])]
Build = Annotated[str, Field(examples=["1.4.2"])]


def without_the_others(plan: Path, profile: str | None, overrides: list[str], stages: list[StageName]) -> list[str]:
    """The overrides that leave a plan with these stages; all of them when none is named.

    The baseline stays where the plan has one: it says whether the system is well, and the others are compared with it.

    Raises:
        PlanError: the plan is wrong, as it is or without the others; the message says what the rest lacks.
        UsageError: the plan has no such stage.
    """
    if not stages:
        return overrides
    has = load_plan(plan, profile=profile, overrides=overrides, environ=os.environ).plan.stages
    present = [name for name in STAGES if getattr(has, name) is not None]
    if absent := [name for name in STAGES if name in stages and name not in present]:
        raise UsageError(
            f"the plan has no stage {', '.join(absent)}; it has {', '.join(present)}",
            hint="choose among these, or add the stage to the plan",
        )
    return [*overrides, *(f"stages.{name}=null" for name in present if name not in (*stages, "baseline"))]
