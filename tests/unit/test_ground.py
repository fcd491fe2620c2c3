"""Units, verdicts, clock."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shakedown.errors import ExitCode
from shakedown.units import (
    format_duration,
    format_number,
    format_share,
    format_size,
    parse_duration,
    parse_share,
    parse_size,
)
from shakedown.verdict import Verdict, combine, exit_code


@pytest.mark.parametrize(
    ("text", "seconds"), [("500ms", 0.5), ("30s", 30), ("5m", 300), ("1h30m", 5400), (2, 2), ("1.5 s", 1.5)]
)
def test_durations(text, seconds):
    """Durations are read as people write them."""
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "5", "fast", "5x", "-3s", -1, "3s5"])
def test_wrong_durations_are_refused(text):
    """What is no duration is an error, not a guess."""
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)


def test_sizes_and_shares():
    """Powers of ten and of two are told apart; per cent are fractions."""
    assert (parse_size("256MB"), parse_size("1KiB"), parse_size(7)) == (256_000_000, 1024, 7)
    assert (parse_share("5%"), parse_share(0.05)) == (0.05, 0.05)


@given(st.floats(min_value=1e-6, max_value=100))
def test_formatted_durations_read_back(seconds):
    """A duration that is shown means what was measured, to three digits."""
    assert parse_duration(format_duration(seconds)) == pytest.approx(seconds, rel=6e-3)


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (14621, "14621"), (14624, "14624"), (3.405e8, "340500000"), (1234.5, "1234"), (0.03353, "0.03353"),
     (12.34567, "12.35"), (-14621, "-14621"), (2.0e-7, "2e-07"), (1e18, "1e+18"), (math.inf, "inf")],
)  # fmt: skip
def test_numbers_without_a_unit(number, text):
    """Two counts that differ are never shown alike."""
    assert format_number(number) == text


def test_formats():
    """Numbers are short, with their unit."""
    assert (format_duration(0.00123), format_duration(125), format_size(83.2e6), format_share(0.005)) == (
        "1.23 ms", "2 m 05 s", "83.2 MB", "0.5 %",
    )  # fmt: skip


def test_nothing_measured_never_passes():
    """No parts, or inconclusive ones, are no pass."""
    assert combine([]) is Verdict.INCONCLUSIVE
    assert combine([Verdict.PASSED, Verdict.INCONCLUSIVE]) is Verdict.INCONCLUSIVE


def test_a_breach_outweighs_everything():
    """Failed beats error beats inconclusive beats passed; skipped parts spoil no pass."""
    assert combine([Verdict.ERROR, Verdict.FAILED, Verdict.INCONCLUSIVE]) is Verdict.FAILED
    assert combine([Verdict.ERROR, Verdict.INCONCLUSIVE, Verdict.PASSED]) is Verdict.ERROR
    assert combine([Verdict.SKIPPED, Verdict.PASSED]) is Verdict.PASSED
    assert combine([Verdict.SKIPPED]) is Verdict.SKIPPED


def test_exit_codes():
    """Each verdict has its documented exit code; a skipped run is not a success."""
    codes = {verdict: exit_code(verdict) for verdict in Verdict}
    assert codes == {
        Verdict.PASSED: ExitCode.PASSED, Verdict.FAILED: ExitCode.FAILED, Verdict.INCONCLUSIVE: ExitCode.INCONCLUSIVE,
        Verdict.SKIPPED: ExitCode.INCONCLUSIVE, Verdict.ERROR: ExitCode.COULD_NOT_RUN,
    }  # fmt: skip
    assert exit_code(Verdict.INCONCLUSIVE, allow_inconclusive=True) == 0
    assert exit_code(Verdict.FAILED, allow_inconclusive=True) == 1
