"""The histogram."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shakedown.records.histogram import Histogram

VALUES = st.lists(st.floats(min_value=0, max_value=1e5, allow_subnormal=False), min_size=1, max_size=300)


def of(values: list[float]) -> Histogram:
    histogram = Histogram()
    histogram.record_many(values)
    return histogram


@given(VALUES, st.floats(min_value=0, max_value=1))
def test_quantiles_are_within_one_per_cent_of_an_exact_sort(values, q):
    """Every quantile lies within 1 % of the value of its rank."""
    exact = sorted(values)[max(0, math.ceil(q * len(values) - 1e-9) - 1)]
    assert of(values).quantile(q) == pytest.approx(exact, rel=0.01, abs=1e-8)


@given(VALUES, VALUES, VALUES)
def test_merging_is_the_whole(first, second, third):
    """Parts merged in any order equal the whole, bucket for bucket."""
    merged = Histogram()
    for part in (of(third), of(first), of(second)):
        merged.merge(part)
    assert merged == of(first + second + third)


@given(VALUES)
def test_encoding_keeps_everything(values):
    """What was encoded decodes to an equal histogram."""
    assert Histogram.from_bytes(of(values).to_bytes()) == of(values)


@given(VALUES)
def test_one_by_one_equals_many(values):
    """Recording singly and in bulk give the same buckets."""
    single = Histogram()
    for value in values:
        single.record(value)
    assert single == of(values)


def test_empty_has_no_quantile_and_no_mean():
    """Nothing measured is nothing said."""
    assert Histogram().quantile(0.5) is None
    assert Histogram().mean is None


@pytest.mark.parametrize("bad", [-1.0, float("nan")])
def test_negative_values_are_refused(bad):
    """A latency below zero is a bug of the caller's."""
    with pytest.raises(ValueError, match="zero and above"):
        Histogram().record(bad)


def test_foreign_bytes_are_refused():
    """Bytes that are no histogram are named as such."""
    with pytest.raises(ValueError, match="not a histogram"):
        Histogram.from_bytes(b"nonsense")
