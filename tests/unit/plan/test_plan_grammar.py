"""Checks and thresholds at their edges: never a crash in the middle of a load, never a limit that always holds."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shakedown.plan.checks import compile_checks, parse_check
from shakedown.plan.thresholds import parse_threshold


@dataclass
class Answer:
    """An answer to look at."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    latency: float = 0.01
    size: int = 0


@pytest.mark.parametrize(
    ("check", "answer"),
    [
        ("json.a contains 5", Answer(body=b'{"a":"x5"}')),
        ('header.etag < "b"', Answer()),
        ('header.etag != "b"', Answer()),
        ("json.a == 1", Answer(body=b'{"a":true}')),
        ("json.a == true", Answer(body=b'{"a":1}')),
        ("json.a in [0, 1]", Answer(body=b'{"a":true}')),
        ("json.a > 0", Answer(body=b'{"a":true}')),
        ("json.a != 1", Answer(body=b"{}")),
        ("json.a exists", Answer(body=b"[" * 100_000)),
        ("json.a exists", Answer(body=b"\xff\xfe")),
        ("size < 2MB", Answer(body=b"x" * 10, size=50_000_000)),
    ],
)
def test_a_doubtful_answer_fails_its_check_and_raises_nothing(check, answer):
    """Absent, mistyped, truncated or hostile contents make a check fail; they neither pass nor crash."""
    assert compile_checks([check]).failed(answer) == check


@pytest.mark.parametrize("text", ["json.a exists yes", "body exists 1", "status in 299..200", "status exists"])
def test_checks_that_say_nothing_are_refused(text):
    """A check with a part that would be ignored, or that can never hold, is no check."""
    with pytest.raises(ValueError):
        parse_check(text)


@given(body=st.binary(max_size=60), check=st.sampled_from(
    ["json.a.0 == 1", 'json.a contains "x"', "json < 5", 'body matches "a+"', 'body contains "a"', "json.a in [1]"]))  # fmt: skip
def test_no_body_breaks_a_check(body, check):
    """Whatever bytes come back, a check answers yes or no."""
    assert parse_check(check).holds(Answer(body=body)) in (True, False)


def test_a_status_check_needs_nothing_else():
    """Checks of the status alone keep neither body nor headers; the others say what they need."""
    wanted = {"status == 200": (False, False), "size < 1MB": (True, False), "header.etag exists": (False, True)}
    found = {text: compile_checks([text]) for text in wanted}
    assert {text: (check.needs_body, check.needs_headers) for text, check in found.items()} == wanted


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("send.error_rate < 5", "between 0% and 100%"),
        ("send.error_rate < -5%", "between 0% and 100%"),
        ("suite.success_rate >= 101%", "between 0% and 100%"),
        ("send.error_rate < nan", "compared with a share"),
        ("send.count > -inf", "compared with a number"),
        ("send.p(95 < 1s", "not a threshold"),
        ("send.p95) < 1s", "not a threshold"),
        ("send.p999 < 1s", "did you mean `p99`?"),
        ("send.p95 < 1MB", "compared with a duration"),
        ("api.memory < 5s", "compared with a size"),
    ],
)
def test_limits_that_mean_nothing_are_refused(text, expected):
    """A limit that always or never holds, or of another dimension, is an error that says so."""
    with pytest.raises(ValueError, match=expected.replace("?", r"\?")):
        parse_threshold(text)


@pytest.mark.parametrize("metric", ["max", "min", "avg"])
def test_latencies_of_one_request(metric):
    """`send.one.max < 1s` is that request's metric; beside a plain number it is a series' aggregate."""
    found = parse_threshold(f"send.one.{metric} < 1s")
    assert (found.request, found.metric, found.aggregate, found.limit) == ("one", metric, None, 1.0)
    series = parse_threshold(f"api.queue_depth.{metric} < 5")
    assert (series.request, series.metric, series.aggregate) == (None, "queue_depth", metric)


@given(st.text(max_size=30))
def test_any_text_is_a_grammar_or_a_value_error(text):
    """Neither grammar raises anything but ValueError."""
    for parse in (parse_check, parse_threshold):
        try:
            parse(text)
        except ValueError as error:
            assert str(error)
