"""What must have been given back when all is idle again."""

import pytest
import yaml

from shakedown.analysis.compare import compare_idle
from shakedown.errors import PlanError
from shakedown.plan import load_plan
from shakedown.plan.freed import Freed
from shakedown.verdict import Verdict

PLAN = {
    "version": 1, "name": "t",
    "services": {"api": {"process": ["true"], "ports": {"http": 18733},
                         "probes": {"keys": {"command": "echo 1"}}}},
    "scenarios": {"s": {"executor": {"type": "constant-vus", "vus": 1, "duration": "1s"},
                        "http": {"target": "api.http", "requests": [{"name": "r", "get": "/"}]}}},
}  # fmt: skip


def load(tmp_path, freed, *, baseline=True):
    stages = {"recovery": {"freed": freed}}
    if baseline:
        stages["baseline"] = {"scenarios": ["s"]}
    path = tmp_path / "plan.yaml"
    path.write_text(
        yaml.safe_dump({**PLAN, "stages": {**stages, "stress": {"parallel": [{"use": "s"}]}}}), encoding="utf-8"
    )
    return load_plan(path, environ={}).plan.stages.recovery


def test_the_least_reading_counts():
    """It came back once: enough. Within tolerance or margin, whichever is more; beyond both: failed."""
    before = [100e6, 102e6, 101e6]
    for after, tolerance, margin, verdict in (
        ([300e6, 110e6, 200e6], 0.25, 16e6, Verdict.PASSED),
        ([300e6, 128e6], 0.25, 16e6, Verdict.FAILED),
        ([116e6], 0.0, 16e6, Verdict.PASSED),
        ([118e6], 0.0, 16e6, Verdict.FAILED),
    ):
        found = compare_idle("api", "memory_anon", "B", before, after, tolerance, margin)
        assert (found.verdict, found.before, found.after) == (verdict, 101e6, min(after))


def test_what_began_with_nothing():
    """A queue that was empty must be empty again, unless a margin allows more."""
    assert compare_idle("q", "backlog", "", [0.0], [3.0], 0.25, 0.0).verdict is Verdict.FAILED
    assert compare_idle("q", "backlog", "", [0.0], [3.0, 0.0], 0.25, 0.0).verdict is Verdict.PASSED
    assert compare_idle("q", "files", "", [0.0], [3.0], 0.25, 4.0).verdict is Verdict.PASSED


def test_what_was_not_sampled_is_not_judged():
    """On either side: inconclusive, with the side that is missing."""
    for before, after, words in (([], [1.0], "after the baseline"), ([1.0], [], "at the end")):
        found = compare_idle("api", "keys", "", before, after, 0.25, 0.0)
        assert found.verdict is Verdict.INCONCLUSIVE
        assert words in found.reason


def test_what_growth_does_not_count():
    """16 MB of memory, four of what is counted, nothing of one's own series; or what the plan says."""
    least = [Freed(series=f"api.{series}").least for series in ("memory_anon", "open_files", "cpu", "keys")]
    assert least == [16e6, 4.0, 0.0, 0.0]
    assert Freed(series="api.memory", margin="64MB").least == 64e6
    assert Freed(series="api.keys", margin=10).least == 10.0


def test_plans(tmp_path):
    """A name alone is enough; unknown series, counters and plans without a baseline are refused with the reason."""
    stage = load(tmp_path, ["api.memory", {"series": "api.keys", "tolerance": "0%", "within": "5s"}])
    assert [(freed.series, freed.tolerance, freed.within) for freed in stage.freed] == [
        ("api.memory", 0.25, 30.0), ("api.keys", 0.0, 5.0)
    ]  # fmt: skip
    for freed, baseline, words in (
        (["api.nothing"], True, "no such series"),
        (["api.network_rx"], True, "never comes back"),
        (["api.memory"], False, "no baseline"),
        ([{"series": "api.memory", "within": "2h"}], True, "within"),
    ):
        with pytest.raises(PlanError) as caught:
            load(tmp_path, freed, baseline=baseline)
        assert words in str(caught.value)
        assert "freed.0" in str(caught.value)
