"""What the recovery stage looks at, on a real container: its picture, invariants, restarts, new error lines."""

import shutil
import time

import pytest

from shakedown.faults.agents import agent_image
from shakedown.records.judgement import Severity
from shakedown.session import RunOptions, Session
from shakedown.session.aftermath import RECOVERY, count_restarts, mark_logs, search_logs
from shakedown.session.invariants import AFTER, BEFORE, check_invariants
from shakedown.session.picture import compare_with_picture, keep_picture
from shakedown.verdict import Verdict

pytestmark = pytest.mark.integration
PLAN = """
version: 1
name: small
services:
  box:
    image: debian:bookworm-slim
    command: [sh, -c, "echo 3 > /tmp/stored; echo 3 > /tmp/counted; echo ERROR old kind 1; touch /tmp/ready; while :; do sleep 0.2; cat /tmp/say 2>/dev/null && rm /tmp/say; done"]
    health: {command: [test, -e, /tmp/ready], within: 60s}
scenarios: {s: {executor: {type: constant-vus, vus: 1, duration: 1s}, python: {function: "m:f"}}}
invariants:
  counted: {service: box, command: cat /tmp/counted, expect: 3, within: 0s}
  stored: {service: box, command: cat /tmp/stored, expect: ">= 3", within: 0s}
  wrong-from-the-start: {service: box, command: echo 7, expect: "< 5", within: 0s}
stages: {baseline: {scenarios: [s]}, recovery: {}}
"""


@pytest.fixture
def session(tmp_path):
    """A run with one container, without any stage."""
    (tmp_path / "plan.yaml").write_text(PLAN)
    made = Session.open(RunOptions(tmp_path / "plan.yaml", root=tmp_path / "root"))
    try:
        made.start_system()
        yield made
    finally:
        assert made.stop_system() == []
        made.close(status="finished", verdict=None, reason="", code=0)
        shutil.rmtree(tmp_path / "root")


def told(session):
    return [finding for stage, finding in session.findings if stage == "recovery"]


def test_recovery_looks_at_everything(session):
    """A rule, a limit and a pause that were left are seen and are gone when taken back; what became untrue is told apart."""
    client, box = session.system.client, session.system.runner("box")
    container = client.containers.get(session.system.handle("box").container)

    # ------------------------------------------------------------------------------------------------------- the picture
    keep_picture(session)
    assert compare_with_picture(session) == [(Verdict.PASSED, "every service is as it was before the faults")]
    rule = "iptables -w -A INPUT -p tcp --dport 9 -j DROP"
    look = {"entrypoint": ["sh", "-c"], "network_mode": f"container:{container.id}", "cap_add": ["NET_ADMIN"],
            "user": "0", "remove": True, "labels": session.system.labels.of()}  # fmt: skip
    client.containers.run(agent_image(client), [rule], **look)
    container.update(cpu_shares=512)
    ((verdict, words),) = compare_with_picture(session)
    assert verdict is Verdict.FAILED
    evidence = "\n".join(told(session)[-1].evidence)
    assert "--dport 9 -j DROP" in evidence
    assert "CpuShares 512" in evidence
    client.containers.run(agent_image(client), [rule.replace("-A", "-D")], **look)
    keep_picture(session)
    container.pause()
    ((verdict, words),) = [part for part in compare_with_picture(session) if part[0] is Verdict.FAILED]
    assert "paused" in words or "paused" in "\n".join(told(session)[-1].evidence)
    container.unpause()

    # -------------------------------------------------------------------------------------------------------- invariants
    check_invariants(session, BEFORE)
    box.run_inside(["sh", "-c", "echo 4 > /tmp/counted"])
    parts = check_invariants(session, AFTER)
    assert [verdict for verdict, _ in parts] == [Verdict.FAILED, Verdict.PASSED, Verdict.FAILED]
    counted, wrong = [finding for finding in told(session) if finding.title.startswith("invariant")]
    assert "held before the faults" in counted.cause
    assert "did not hold before" in wrong.cause

    # -------------------------------------------------------------------------------------------------- logs and restarts
    mark_logs(session)
    mark_logs(session, RECOVERY)
    since = session.clock.now()
    time.sleep(0.1)
    box.run_inside(["sh", "-c", "printf 'ERROR old kind 2\\nERROR new kind 3\\nERROR new kind 4\\n' > /tmp/say"])
    until = time.monotonic() + 30
    while not search_logs(session, since) and time.monotonic() < until:
        time.sleep(0.3)
    (lines,) = [finding for finding in told(session) if "error lines" in finding.title][:1]
    assert lines.severity is Severity.NOTE
    assert [line.partition(" ×")[0] for line in lines.evidence] in (["2"], ["1"])
    assert "ERROR new kind 3" in lines.evidence[0]
    assert count_restarts(session) == []
