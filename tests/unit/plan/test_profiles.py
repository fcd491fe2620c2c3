"""What a profile leaves out of a plan is known in words, for the report."""

import pytest

from shakedown.plan import load_plan

PLAN = """\
version: 1
name: cut
services: {api: {url: "http://127.0.0.1:9"}}
scenarios:
  get: {executor: {type: constant-arrival-rate, rate: 10, duration: 10s}, http: {target: api.http, requests: [{name: a, get: /}]}}
stages:
  baseline: {scenarios: [get]}
  stress: {parallel: [{use: get}]}
profiles:
  smoke: {scale: {duration: 0.2, rate: 0.5, repeat: 1}, stages: {stress: null}}
  long: {scale: {duration: 10}}
"""


@pytest.mark.parametrize(
    ("profile", "said"), [("smoke", "durations × 0.2, rates × 0.5, without stress"), ("long", ""), (None, "")]
)
def test_cuts_are_told(tmp_path, profile, said):
    """Scales below one and stages taken out are cuts; what a profile adds is none."""
    path = tmp_path / "plan.yaml"
    path.write_text(PLAN, encoding="utf-8")
    assert load_plan(path, profile=profile, environ={}).cuts == said
