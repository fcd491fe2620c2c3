"""What a plan may say of HTTP faults, and what is said of their counters."""

import re

import pytest
from pydantic import TypeAdapter, ValidationError

from shakedown.faults.http.counts import RequestCounts
from shakedown.faults.registry import FAULTS
from shakedown.plan.faults import FaultPlan, conflict
from shakedown.plan.faults.http import HttpStatus, glob_pattern

FAULT = TypeAdapter(FaultPlan)


def fault(**given):
    return FAULT.validate_python({"target": "web", "type": "http-status", "status": 503, **given})


@pytest.mark.parametrize(
    ("glob", "path", "fits"),
    [
        ("/pay", "/pay", True), ("/pay", "/pay/1", False), ("/pay/*", "/pay/1", True), ("/pay/*", "/pay/1/2", False),
        ("/pay/**", "/pay/1/2", True), ("**", "/x/y", True), ("/a?c", "/abc", True), ("/a?c", "/a/c", False),
        ("/a.c", "/abc", False), ("/(", "/(", True),
    ],
)  # fmt: skip
def test_globs(glob, path, fits):
    """`*` is anything but a slash, `**` anything, `?` one character, and nothing else means anything."""
    assert bool(re.fullmatch(glob_pattern(glob), path)) is fits


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"status": 100}, "greater than or equal to 200"),
        ({"status": 600}, "less than or equal to 599"),
        ({"share": "30%", "first": 3}, "one of `share`, `first`, `every`"),
        ({"path": "/a", "path_regex": "b"}, "one of `path`, `path_regex`"),
        ({"path": "pay"}, "begins with a slash: /pay"),
        ({"path_regex": "("}, "not a regular expression"),
        ({"methods": ["PO ST"]}, "pattern"),
        ({"answer_headers": {"Content-Length": "3"}}, "may not have Content-Length"),
        ({"answer_headers": {"X": "a\r\nY: b"}}, "pattern"),
        ({"every": 1}, "greater than or equal to 2"),
        ({"type": "http-delay", "delay": "1s", "jitter": "2s"}, "`jitter` is at most `delay`"),
        ({"type": "http-body"}, "exactly one of `body`, `text`, `regex`"),
        ({"type": "http-body", "body": "a", "text": "b"}, "exactly one of"),
        ({"type": "http-body", "regex": "a", "replacement": r"\1"}, "does not fit"),
        ({"type": "http-header"}, "give `set` or `remove`"),
        ({"type": "http-header", "remove": ["transfer-encoding"]}, "may not have transfer-encoding"),
        ({"type": "http-slow-drip", "drip": 0}, "greater than or equal to 1"),
    ],
)
def test_what_cannot_be_is_refused(given, words):
    """Limits, contradictions, and headers that would break the framing are told when the plan is read."""
    full = {"target": "web", "type": "http-status", **({"status": 503} if "type" not in given else {}), **given}
    with pytest.raises(ValidationError, match=re.escape(words)):
        FAULT.validate_python(full)


def test_faults_of_other_requests_go_together():
    """The same type twice on the same requests is a conflict; on others, or another type, it is none."""
    pay, stats = fault(path="/pay"), fault(path="/stats")
    assert conflict(pay, fault(path="/pay", status=500))
    assert conflict(pay, stats) is None
    assert conflict(pay, fault(path="/pay", direction="out")) is None
    assert conflict(pay, FAULT.validate_python({"type": "http-abort", "target": "web", "path": "/pay"})) is None
    assert conflict(pay, FAULT.validate_python({"type": "service-kill", "target": "web"}))


def test_what_it_does_in_words():
    """The report says what happens to which requests."""
    for given, words in [
        ({"path": "/pay", "methods": ["POST"]}, "503 for POST /pay"),
        ({"share": "30%"}, "503 for 30 % of all requests"),
        ({"first": 3}, "503 for the first 3 of all requests"),
        ({"every": 3}, "503 for every 3rd of all requests"),
        ({"headers": {"x": "a*"}}, "503 for x: a*"),
    ]:
        plan = fault(**given)
        assert FAULTS[plan.type](plan, None).shows == words


def counts(requests=0, matched=0, disturbed=0, unfit=None, told=None, kinds=None, odd=None, **choice) -> RequestCounts:
    plan = HttpStatus(target="web", status=503, **choice)
    return RequestCounts(plan, requests, matched, disturbed, unfit or {}, told or {}, kinds or {}, odd or {}, 0, 0, 0.0)


@pytest.mark.parametrize(
    ("counted", "problem"),
    [
        (counts(), "no request came"),
        (counts(240, 0, path="/pay"), "no request matched"),
        (counts(240, 72, 72), None),
        (counts(240, 72, 10), "answers were not disturbed"),
        (counts(9, 9, 3, every=3), None),
        (counts(2, 2, 0, every=3), "none of those that matched was due"),
        (counts(9, 9, 3, first=3), None),
        (counts(9, 9, 6, {"no body": 3}), None),
        (counts(9, 9, 4, {"no body": 5}), "answers were not disturbed"),
        (counts(2, 2, 2, first=3), "fewer requests matched"),
        (counts(9, 9, 0, {"no body": 3}, first=3), "answers were not disturbed"),
        (counts(400, 400, 121, share=0.3), None),
        (counts(400, 400, 20, share=0.3), "another share"),
        (counts(400, 400, 399, share=0.3), "another share"),
        (counts(3, 3, 0, share=0.3), "no answer was disturbed"),
        (counts(3, 3, 1, share=0.3), None),
    ],
)
def test_when_the_effect_is_proved(counted, problem):
    """Nothing matched, or far less disturbed than asked, is not proved; what was asked is."""
    found = counted.problem()
    assert (found is None) if problem is None else (found is not None and found.startswith(problem))


def test_the_evidence_says_what_came_instead():
    """None matched: the words say what was seen."""
    words = counts(240, 0, kinds={"GET /stats": 240}, odd={"TLS": 2}, methods=["POST"], path="/pay").words()
    assert words.startswith("0 of 240 requests matched POST /pay; seen: GET /stats: 240")
    assert "2 connections spoke TLS" in words
