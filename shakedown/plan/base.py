"""What every model of a plan has in common."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

__all__ = ["Kind", "PlanModel"]

Kind = Literal["docker", "process", "external"]  # of services


class PlanModel(BaseModel):
    """The base of every model of a plan: unknown keys are errors, nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, allow_inf_nan=False)
