"""What a run says to Prefect's automations: events with small payloads of plain data, listed in docs/prefect.md.

Each is about the resource `shakedown.run.<run>`; Prefect adds the flow run, the deployment and their tags as related ones.
"""

from collections.abc import Iterator, Mapping

from prefect.events import emit_event

from shakedown.records.figures import Change
from shakedown.session import Session
from shakedown.verdict import Verdict

__all__ = ["Payload", "events_of", "publish_events"]

_REGRESSIONS = {
    Change.REGRESSED: "shakedown.regression.found",
    Change.SUSPECT: "shakedown.regression.suspected",
}
Payload = Mapping[str, str | float | int | None]


def publish_events(session: Session) -> None:
    """Say how a run ended, and what of it somebody may want to be told. Prefect's own thread sends it."""
    resource = {
        "prefect.resource.id": f"shakedown.run.{session.run_id}",
        "prefect.resource.name": session.loaded.plan.name,
        "shakedown.plan": session.loaded.plan.name,
        "shakedown.profile": session.loaded.profile or "",
    }
    for name, payload in events_of(session):
        emit_event(event=name, resource=resource, payload=dict(payload))


def events_of(session: Session) -> Iterator[tuple[str, Payload]]:
    """Name and payload of each event of a run that has ended, from its database; the last says how it ended."""
    run = session.run_id
    for stage, scope, result in session.results.thresholds(run):
        if result.verdict is Verdict.FAILED:
            yield (
                "shakedown.threshold.failed",
                {
                    "run": run,
                    "stage": stage,
                    "scope": scope,
                    "threshold": result.text,
                    "actual": result.actual,
                    "limit": result.limit,
                    "unit": result.unit,
                    "samples": result.samples,
                },
            )
    for found in session.results.regressions(run):
        look = found.outlook
        if look.change in _REGRESSIONS:
            yield (
                _REGRESSIONS[look.change],
                {
                    "run": run,
                    "figure": str(found.name),
                    "value": look.value,
                    "usual": look.usual,
                    "limit": look.limit,
                    "unit": found.unit,
                    "runs": look.runs,
                    "reason": look.reason,
                },
            )
    info = session.results.run(run)
    yield (
        "shakedown.run.ended",
        {
            "run": run,
            "plan": info.plan,
            "profile": info.profile or "",
            "build": info.build,
            "verdict": str(info.verdict) if info.verdict is not None else "interrupted",
            "reason": info.reason,
            "exit_code": info.exit_code,
            "command": info.command,
            "report": str(session.report_dir() / "report.md"),
        },
    )
