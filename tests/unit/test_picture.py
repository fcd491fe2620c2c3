"""What a container's limits are, for the comparison of before and after the faults."""

import pytest

from shakedown.session.picture import _limits

NONE = {"CpuQuota": 0, "CpuPeriod": 0}


@pytest.mark.parametrize(
    ("given", "cpu"),
    [
        ({}, NONE),
        ({"CpuQuota": 0, "CpuPeriod": 0}, NONE),
        ({"CpuQuota": -1, "CpuPeriod": 100_000}, NONE),  # what taking a quota back leaves
        ({"CpuQuota": 5000, "CpuPeriod": 100_000}, {"CpuQuota": 5000, "CpuPeriod": 100_000}),
    ],
)
def test_no_cpu_quota_is_no_quota(given, cpu):
    """However the engine says it; a quota is told as it is."""
    found = _limits({"Memory": 1024, **given})
    assert {key: found[key] for key in cpu} == cpu
    assert found["Memory"] == 1024
