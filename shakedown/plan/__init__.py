"""The plan: its schema, its loading, and errors that name file, line and key.

=============  =========================================================================
model          the pydantic models of a whole plan
faults         the models of faults
values         durations, sizes, shares, names
loading        YAML → variables → profile → overrides → Plan, all problems at once
document       YAML that knows its lines and columns
profiles       profiles and `--set`
compose        a Compose project's services as the plan's; compose_file reads the file
references     what names what: every cross-reference checked
thresholds     the grammar of `send.p95 < 500ms`
checks         the grammar of `status == 202`
templates      the Jinja templates inside a plan
secrets        what must never reach a log, database or report
outline        how long a plan means to take
schema         the JSON Schema, and a plan to begin with
=============  =========================================================================
"""

from shakedown.plan.loading import LoadedPlan, load_plan
from shakedown.plan.model import Plan
from shakedown.plan.outline import PlannedStage, planned_durations, planned_stages
from shakedown.plan.schema import json_schema, starter_plan
from shakedown.plan.secrets import Redactor

__all__ = [
    "LoadedPlan",
    "Plan",
    "PlannedStage",
    "Redactor",
    "json_schema",
    "load_plan",
    "planned_durations",
    "planned_stages",
    "starter_plan",
]
