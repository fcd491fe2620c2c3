"""What a calibration says of a load; nothing is measured here."""

from datetime import UTC, datetime

import pytest

from shakedown.errors import LoadError
from shakedown.load.calibrate import (
    Calibration,
    Machine,
    near_ceiling,
    near_floor,
    read_calibration,
    write_calibration,
)
from shakedown.records.load import Bucket, BucketKey, GeneratorHealth, LoadCounts, LoadResult, Outcome


def calibration(**changes) -> Calibration:
    values = {
        "at": datetime(2026, 1, 2, tzinfo=UTC), "machine": Machine.here(), "workers": 4, "closed_one": 50_000.0,
        "closed_all": 150_000.0, "cpu_per_request": 2e-5, "open_one": 30_000.0, "open_lag_p99": 0.001,
        "open_tried": [(30_000.0, True)], "latency_min": 2e-5, "latency_p50": 3e-5, "timer_p50": 5e-5, "timer_p99": 9e-5,
        "loop_lag_p99": 1e-4, "busy": 0.0,
    }  # fmt: skip
    return Calibration(**{**values, **changes})


def result(requests: int, *, target=None, workers=1, service=0.01, warm_up=False) -> LoadResult:
    bucket = Bucket()
    bucket.service.record(service, 10)
    return LoadResult(
        load="mix", scenario="s", stage="stress", repetition=0, start=5.0, end=15.0, executor="x", target_rate=target,
        counts=LoadCounts(requests=requests), buckets={BucketKey("r", Outcome.OK, 6, warm_up): bucket}, pulses={},
        start_lag={}, errors=[], generator=GeneratorHealth(workers=workers),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("requests", "target", "workers", "near"),
    [
        (390_000, None, 1, False), (410_000, None, 1, True),  # 39 and 41 thousand a second of 50
        (410_000, None, 2, False), (810_000, None, 2, True),  # two workers: 100
        (1_190_000, None, 4, False), (1_210_000, None, 4, True),  # all four together: 150, not 200
        (230_000, 23_000, 1, False), (250_000, 25_000, 1, True),  # open model: 30
        (1_000, 25_000, 1, True),  # asked for, and not even nearly reached
    ],
)  # fmt: skip
def test_near_the_ceiling(requests, target, workers, near):
    """A load at 80 % of the ceiling or more is warned about, by its model and number of workers."""
    said = near_ceiling(result(requests, target=target, workers=workers), calibration())
    assert (said is not None) == near
    if said:
        assert "`mix`" in said
        assert "2026-01-02" in said


def test_without_a_ceiling_nothing_is_said():
    """No rate was held in calibration: nothing can be said of an open model's load."""
    assert near_ceiling(result(500_000, target=50_000), calibration(open_one=0.0)) is None


@pytest.mark.parametrize(("service", "near"), [(5e-5, True), (7e-5, False)])
def test_near_the_floor(service, near):
    """A median below twice the floor is warned about."""
    assert (near_floor(result(1, service=service), calibration()) is not None) == near


def test_the_floor_needs_answers():
    """Warm-up answers alone support no statement."""
    assert near_floor(result(1, service=1e-5, warm_up=True), calibration()) is None


def test_a_calibration_is_of_one_machine(tmp_path):
    """It is read back on its machine and by its version, and nowhere else."""
    here = calibration()
    assert write_calibration(here, tmp_path / "new").name == "calibration.json"
    assert read_calibration(tmp_path / "new") == here
    for change in ({"host": "another"}, {"cores": 99}, {"shakedown": "0.0.0"}):
        write_calibration(here.model_copy(update={"machine": here.machine.model_copy(update=change)}), tmp_path)
        assert read_calibration(tmp_path) is None


@pytest.mark.parametrize("text", [None, "", "{", "[]", '{"at": 1}'])
def test_rubbish_is_no_calibration(tmp_path, text):
    """A file that is missing, torn or something else counts as none."""
    if text is not None:
        (tmp_path / "calibration.json").write_text(text)
    assert read_calibration(tmp_path) is None


def test_a_folder_that_cannot_be_written_is_said(tmp_path):
    """The path stands in the message."""
    (tmp_path / "file").write_text("")
    with pytest.raises(LoadError, match=r"calibration\.json cannot be written"):
        write_calibration(calibration(), tmp_path / "file")
