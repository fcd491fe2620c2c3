"""The report, and its artifacts in Prefect."""

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from shakedown.reports import write_report
from shakedown.session import current

__all__ = ["render_report"]


@task(cache_policy=NO_CACHE)
def render_report(run_id: str) -> str:
    """Render the report from the database, and keep its text as an artifact; the report's path."""
    session = current(run_id)
    path = write_report(session.results, run_id, session.report_dir())
    create_markdown_artifact(
        key=f"report-{session.loaded.plan.name}".lower().replace("_", "-"),
        markdown=path.read_text(encoding="utf-8"),
        description=f"run {run_id}",
    )
    return str(path)
