"""Behaviour under a real fault: a shop of two programs, whose payments are killed."""

import sys
from pathlib import Path

import pytest
import yaml

from shakedown.errors import ExitCode
from shakedown.records.judgement import Severity
from shakedown.reports.markdown import markdown_text
from shakedown.services.ports import free_port
from shakedown.session import RunOptions, Session
from shakedown.session.experiments import bench_of
from shakedown.verdict import Verdict, combine

pytestmark = pytest.mark.integration
SHOP = str(Path(__file__).with_name("shop.py"))
EXPECT = {"breaker": {"of": "payments", "opens_within": "2s"}, "longest": "2500ms", "amplification": 2.5, "herd": 4}


def plan(mistakes: str) -> dict:
    """Two programs, thirty requests a second, payments killed for five seconds."""
    port = free_port()
    read = {
        "name": "buy",
        "get": "/",
        "timeout": "3s",
        "checks": ["status == 200"],
        "degraded": "json.degraded == true",
    }
    return {
        "version": 1, "name": "shop", "sample_every": "500ms",
        "services": {
            "payments": {"process": [sys.executable, SHOP, "payments", str(port)], "ports": {"http": port},
                         "health": {"http": "http:/health"}},
            "api": {"process": [sys.executable, SHOP, "api", "{port.http}", str(port), mistakes], "depends_on": ["payments"],
                    "ports": {"http": 0}, "health": {"http": "http:/health"}, "metrics": {"prometheus": "http:/metrics"}},
        },
        "scenarios": {"shop": {
            "executor": {"type": "constant-arrival-rate", "rate": 30, "duration": "9s"},
            "http": {"target": "api.http", "requests": [read]},
        }},
        "stages": {"faults": {
            "load": {"use": "shop"}, "warm_up": "3s", "hold_window": "1s", "core": ["buy"],
            "tolerance": {"p95_floor": "2s", "throughput": "70%", "error_rate": "5%"},
            "calls": {"payments": "api.payment_calls_total"}, "breakers": {"payments": {"state": "api.circuit_state"}},
            "experiments": [{"name": "payments dead", "fault": {"type": "service-kill", "target": "payments"}, "hold": "5s",
                             "recover_within": "10s", "expect": EXPECT}],
        }},
    }  # fmt: skip


def experiment(tmp_path: Path, mistakes: str):
    """Its verdict, the causes of findings that fail it, its behaviour, and the report."""
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(plan(mistakes)))
    session = Session.open(RunOptions(tmp_path / "plan.yaml", root=tmp_path / "results", seed=1))
    try:
        session.start_system()
        session.begin_stage("faults")
        bench = bench_of(session)
        try:
            bench.warm_up()
            for one in session.loaded.plan.experiments:
                bench.run(one)
            bench.finish()
        finally:
            bench.close()
        verdict = combine(part for part, _ in bench.judge())
        (info,) = session.results.experiments(session.run_id)
        if info.record.refused or (info.recovery is not None and info.recovery.problem):
            pytest.skip(f"the machine is too busy: {info.reason}")
        causes = [one.cause for _, one in session.findings if one.severity is Severity.FAILURE]
        return verdict, causes, info, markdown_text(session.results, session.run_id)
    finally:
        session.stop_system()
        session.close(status="finished", verdict=None, reason="", code=ExitCode.PASSED)


def test_a_sound_shop_degrades_and_is_accused_of_nothing(tmp_path):
    """Its circuit opens, lets probes through and closes; every request is served, degraded; nothing is found."""
    verdict, causes, info, report = experiment(tmp_path, "none")
    seen = info.recovery.behaviour
    assert causes == [], info.reason
    assert verdict is Verdict.PASSED, info.reason
    during = next(one for one in seen.served if one.phase == "during")
    assert (during.failed, during.core, during.marked) == (0, True, True)
    assert during.degraded > during.full
    (breaker,) = seen.breakers
    assert breaker.opened_at is not None
    assert "open" in {state for _, state in breaker.told}
    assert breaker.closed_at >= info.record.revert_asked_at - 1
    assert "## What happened in each fault" in report
    assert "buy (core)" in report


@pytest.mark.defects  # three programs under twenty times their load want the machine for themselves
def test_mistakes_of_a_real_run_have_their_names(tmp_path):
    """Without a breaker, without degraded answers, and with eight tries for each request: three findings, rightly named."""
    verdict, causes, info, _ = experiment(tmp_path, "no-breaker,retry-storm,no-degradation")
    assert verdict is Verdict.FAILED
    for name in ("no circuit breaker", "retry storm", "cascade"):
        assert any(cause.endswith(f"({name})") for cause in causes), (name, causes, info.reason)
    (calls,) = info.recovery.behaviour.calls
    assert 4 < calls.during_times <= 8.5
