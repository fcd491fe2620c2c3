"""The report, and its artifacts in Prefect."""

from prefect import task
from prefect.cache_policies import NO_CACHE

from shakedown.errors import ShakedownError
from shakedown.reports import own_report, write_report
from shakedown.session import current
from shakedown.session.history import note_artifacts
from tasks.artifacts import publish_report

__all__ = ["render_report"]


@task(task_run_name="report", cache_policy=NO_CACHE)
def render_report(run_id: str) -> str:
    """Render the report from the database, and keep it as artifacts; the report's path."""
    session = current(run_id)
    path = write_report(session.results, run_id, session.report_dir())
    for name in session.loaded.plan.report.templates:
        try:
            own_report(session.results, run_id, session.loaded.base / name, path.parent)
        except ShakedownError as error:  # every report there is stands without it
            session.say("warning", "", str(error))
    note_artifacts(session, path.parent)
    publish_report(session, path)
    return str(path)
