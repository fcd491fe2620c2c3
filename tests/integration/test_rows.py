"""The rows of the catalogue: each passes on the sound system, and fails when the mistake that it looks for is switched on.

Whole runs of the examples' plans, minutes each: `pytest -m defects tests/integration/test_rows.py`, or one plan's with `-k dialogue`.
The same runs by hand, and kept: `make seeds` and `make bench-detection ROWS=1`.
"""

import pytest

from benchmarks import catalogue, plan_runs, rows

pytestmark = [pytest.mark.integration, pytest.mark.defects, pytest.mark.timeout(3000)]

JOBS = rows.jobs_of(catalogue.read_table())


@pytest.mark.parametrize("plan", catalogue.plans())
def test_the_sound_system(plan, tmp_path):
    """Every row of the plan passes; those that earlier runs judge, which there are none of, are tested with their mistake."""
    ran = plan_runs.run_plan(plan, tmp_path, options=catalogue.profile_of(plan, full=False), limit=2700)
    assert ran.rows, ran.problem
    history = catalogue.by_history(plan)
    assert {row: told for row, told in ran.rows.items() if told.verdict != "passed" and row not in history} == {}


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.name)
def test_a_mistake(job, tmp_path):
    """The rows that look for it fail."""
    ran = rows.run(job, tmp_path)
    assert ran.rows, ran.problem
    assert {row: ran.rows[row].verdict for row in job.rows} == dict.fromkeys(job.rows, "failed"), ran.rows
