"""`init --compose`: a plan that is valid, with an experiment for each thing that what users talk to needs."""

from pathlib import Path

import pytest

from shakedown.errors import UsageError
from shakedown.imports import import_compose
from shakedown.plan import load_plan

FILE = """
services:
  db: {image: db, expose: [5432], healthcheck: {test: "true"}}
  cache: {image: cache, expose: [6379]}
  migrate: {image: api, depends_on: [db]}
  api:
    image: api
    expose: [8000]
    depends_on: {db: {condition: service_healthy}, cache: {}, migrate: {condition: service_completed_successfully}}
  web: {image: web, ports: ["80:80"], depends_on: [api]}
  metrics: {image: metrics, ports: ["9100:9100"], network_mode: host}
"""


def plan_of(tmp_path: Path, text: str):
    """The plan's text, and what it is when loaded."""
    folder = tmp_path / "my shop"
    folder.mkdir()
    (folder / "compose.yml").write_text(text, encoding="utf-8")
    path = tmp_path / "plan.yaml"
    path.write_text(import_compose(folder, path, {}), encoding="utf-8")
    return path.read_text(encoding="utf-8"), load_plan(path, environ={}).plan


def test_a_plan_of_a_project(tmp_path):
    """The published service is loaded; each dependency, direct or not, is taken away once; what ends by itself is not."""
    text, plan = plan_of(tmp_path, FILE)
    assert plan.name == "my-shop"
    assert plan.scenarios["visit"].target == "web.http"
    assert [experiment.name for experiment in plan.experiments] == [
        "web without api", "web without db", "web without cache", "web restarted",
    ]  # fmt: skip
    assert {type(fault).__name__ for one in plan.experiments for _, fault in one.faults_at()} == {
        "ServiceKill",
        "ServiceRestart",
    }
    assert plan.services["db"].health.docker
    assert plan.services["cache"].health.tcp == "redis"
    assert "metrics" not in plan.services
    assert "Left out, as their network is not the project's own: metrics." in text


def test_a_project_that_says_nothing_of_order(tmp_path):
    """Then each other service is taken to be needed; HTTPS alone is spoken without checking certificates."""
    _, plan = plan_of(tmp_path, "services: {a: {image: a, ports: [443]}, b: {image: b, expose: [5432]}, c: {image: c}}")
    assert plan.scenarios["visit"].target == "a.https"
    assert plan.scenarios["visit"].http.tls.insecure
    assert [experiment.name for experiment in plan.experiments] == ["a without b", "a without c", "a restarted"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("services: {db: {image: db, expose: [5432]}}", "nothing in compose.yml seems to serve HTTP"),
        ("services: [", "compose.yml:1:12: not YAML"),
        ("services: {a: {network_mode: host, ports: [80]}}", "nothing in compose.yml seems to serve HTTP"),
    ],
)
def test_files_of_which_no_plan_can_be_made(tmp_path, text, said):
    """Nothing is written; what is wrong is said."""
    with pytest.raises(UsageError, match=r"compose\.yml") as caught:
        plan_of(tmp_path, text)
    assert said in caught.value.message


def test_no_such_file(tmp_path):
    """A file that is missing, and a folder without one."""
    with pytest.raises(UsageError, match="no such file"):
        import_compose(tmp_path / "x.yml", tmp_path / "plan.yaml", {})
    with pytest.raises(UsageError, match="no Compose file in"):
        import_compose(tmp_path, tmp_path / "plan.yaml", {})
