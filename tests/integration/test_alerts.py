"""A faults stage over a system that tells of its own trouble: health, alerts of every source, declared steady state."""

import socket
import sys

import pytest

from shakedown.errors import ExitCode
from shakedown.reports.markdown import markdown_text
from shakedown.session import RunOptions, Session
from shakedown.session.alerting import judge_quiet_alerts
from shakedown.session.experiments import bench_of
from shakedown.verdict import Verdict
from tests.conftest import ROOT

pytestmark = pytest.mark.integration
PLAN = """\
version: 1
name: watched
sample_every: 300ms
services:
  back: {{process: ["{python}", "{server}", back, "{back}"], ports: {{http: {back}}}, health: {{tcp: http}}}}
  front:
    process: ["{python}", "{server}", front, "{{port.http}}", "{back}"]
    depends_on: [back]
    ports: {{http: 0}}
    health: {{http: "http:/health"}}
    metrics: {{prometheus: "http:/metrics", series: [back_up]}}
alerts:
  rule: {{service: front, http: "http:/alerts", rule: BackLost}}
  hasty: {{service: front, http: "http:/alerts", json: "$.data.alerts[?@.labels.alertname=='BackLongLost'].state", equals: firing}}
  lines: {{service: front, log: back lost, clear: back found}}
  gauge: {{service: front, series: back_up < 1}}
  other: {{service: front, http: "http:/alerts", matches: SomethingElse}}
scenarios:
  get:
    executor: {{type: constant-arrival-rate, rate: 40, duration: 1s}}
    http: {{target: front.http, requests: [{{name: get, get: /, checks: [status == 200]}}]}}
stages:
  faults:
    load: get
    warm_up: 3s
    hold_window: 1s
    tolerance: {{p95_floor: 1s}}
    steady_state: [front.back_up.min >= 1, front.memory < 1.5 * baseline + 50MB]
    experiments:
      - name: back killed
        fault: {{type: service-kill, target: back}}
        hold: 4s
        recover_within: 20s
        expect:
          health: {{front: "unhealthy within 2s, healthy within 20s"}}
          alerts: {{rule: within 3s, hasty: within 100ms, lines: "within 3s, over within 20s", gauge: within 3s, other: never}}
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def run(session: Session) -> tuple[list[tuple[Verdict, str]], list[tuple[Verdict, str]]]:
    """The faults stage; what its experiment came to, and what alerts did before it."""
    try:
        session.start_system()
        session.begin_stage("faults")
        bench = bench_of(session)
        try:
            bench.warm_up()
            quiet = judge_quiet_alerts(session, "faults", *bench.warm)
            for experiment in session.loaded.plan.experiments:
                bench.run(experiment)
            bench.finish()
        finally:
            bench.close()
        return bench.judge(), quiet
    finally:
        assert session.stop_system() == []
        session.close(status="finished", verdict=Verdict.FAILED, reason="", code=ExitCode.FAILED)


def test_alerts_and_health_are_judged_by_their_delays(tmp_path):
    """What tells in time passes, from whichever source; the one that is too late fails its experiment, and nothing else."""
    server = ROOT / "tests" / "integration" / "watched.py"
    path = tmp_path / "plan.yaml"
    path.write_text(PLAN.format(python=sys.executable, server=server, back=free_port()), encoding="utf-8")
    session = Session.open(RunOptions(path, root=tmp_path / ".shakedown", seed=1))
    [(verdict, reason)], quiet = run(session)
    assert {part for part, _ in quiet} == {Verdict.PASSED}
    (info,) = session.results.experiments(session.run_id)
    findings = [
        finding.title for _, finding in session.findings if "alert" in finding.title or "health" in finding.title
    ]
    assert verdict is Verdict.FAILED, reason
    assert [title.partition(" after")[0] for title in findings] == ["back killed: the alert hasty fired"]
    recovery = info.recovery
    applied, reverted = info.record.applied_at, info.record.reverted_at
    alerts = {truth.alert: truth for truth in recovery.alerts}
    assert {name for name, truth in alerts.items() if truth.fired_at is not None} == {"rule", "hasty", "lines", "gauge"}
    assert all(0 < alerts[name].fired_at.at - applied < 3 for name in ("rule", "lines", "gauge"))
    assert alerts["rule"].fired_at.at < alerts["hasty"].fired_at.at
    assert alerts["lines"].ended_at.at > reverted - 0.5
    assert recovery.told_by in ("health of front", "health of back", "alert lines", "alert gauge")
    assert recovery.back.earliest <= recovery.back.at <= recovery.back.latest
    assert recovery.effect.at >= applied
    assert {truth.service for truth in recovery.health} == {"front", "back"}
    assert [comparison for comparison in recovery.worse if comparison.verdict is Verdict.FAILED] == []
    report = markdown_text(session.results, session.run_id)
    assert "| to recover |" in report
    assert "| lines |" in report
