"""Probes of a service's own values: exactly one source, and what it names is there."""

import pytest

from shakedown.errors import PlanError
from shakedown.plan import load_plan

PLAN = """
version: 1
name: probed
services:
  api:
    image: api:1
    ports: {{http: 8000, db: 5432}}
    metrics: {{prometheus: "http:/metrics", series: [queue_depth]}}
    probes:
      rows: {rows}
scenarios:
  s: {{executor: {{type: constant-vus, vus: 1, duration: 1s}}, http: {{target: api.http, requests: [{{name: r, get: /}}]}}}}
stages: {{baseline: {{scenarios: [s], thresholds: [api.rows < 10]}}}}
"""


def load(tmp_path, rows: str):
    (tmp_path / "plan.yaml").write_text(PLAN.format(rows=rows))
    return load_plan(tmp_path / "plan.yaml", environ={}).plan


@pytest.mark.parametrize(
    "rows",
    [
        '{sql: "SELECT count(*) FROM t", url: "postgresql+asyncpg://u:p@{port.db}/x", every: 5s}',
        '{redis: LLEN jobs, url: "redis://{port.db}"}',
        '{redis: INFO memory, field: used_memory, url: "redis://{port.db}"}',
        '{http: "http:/stats", json: queue.depth}',
        "{command: wc -l /data/log}",
    ],
)
def test_what_may_be_probed(tmp_path, rows):
    """Each source is taken, and thresholds may speak of its series."""
    assert "rows" in load(tmp_path, rows).services["api"].probes


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("{}", "exactly one of sql, redis, http, command"),
        ("{sql: SELECT 1, command: ls}", "exactly one of sql, redis, http, command"),
        ("{sql: SELECT 1}", "`url` goes with `sql` and `redis`"),
        ('{sql: SELECT 1, url: "sqlite://{port.nope}"}', "api.nope"),
        ('{http: "nope:/x"}', "nope"),
        ('{http: "/x"}', "no `port-name:/path`"),
        ('{http: "http:/x", json: "$.[("}', "JSONPath"),
        ("{command: ls, field: x}", "`field` goes with"),
        ("{command: ls, every: 10ms}", "every"),
    ],
)
def test_what_may_not(tmp_path, rows, words):
    """One clear error each, before anything starts."""
    with pytest.raises(PlanError) as caught:
        load(tmp_path, rows)
    assert words in str(caught.value)


def test_a_series_that_is_sampled_already(tmp_path):
    """A probe cannot take the name of a series that is there."""
    text = (
        PLAN.format(rows="{command: ls}")
        .replace("rows: {command", "memory: {command")
        .replace("api.rows", "api.memory")
    )
    (tmp_path / "plan.yaml").write_text(text.replace("< 10]", "< 10MB]"))
    with pytest.raises(PlanError, match="sampled already"):
        load_plan(tmp_path / "plan.yaml", environ={})


def test_a_metric_of_an_endpoint_that_has_the_name_of_a_sampled_series(tmp_path):
    """The endpoint's `threads` and the container's would be one series: the plan is refused."""
    text = PLAN.format(rows="{command: ls}").replace("[queue_depth]", "[queue_depth, threads]")
    (tmp_path / "plan.yaml").write_text(text)
    with pytest.raises(PlanError, match=r"`api\.threads` is sampled of every service already"):
        load_plan(tmp_path / "plan.yaml", environ={})
