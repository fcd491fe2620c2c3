"""Plans: what is read, and every error with its place."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from shakedown.errors import PlanError
from shakedown.plan import json_schema, load_plan, planned_durations, starter_plan
from shakedown.plan.checks import compile_checks, parse_check
from shakedown.plan.secrets import Redactor, looks_secret
from shakedown.plan.thresholds import parse_threshold
from tests.conftest import COURIER

GOOD = """\
version: 1
name: demo
services:
  api: {image: "demo:1", ports: {http: 8000}, health: {http: "http:/health"}, environment: {API_TOKEN: hunter22}}
scenarios:
  send:
    executor: {type: constant-arrival-rate, rate: 10, duration: 10s}
    http:
      target: api.http
      requests: [{name: one, get: /}]
stages:
  baseline: {scenarios: [send], thresholds: [send.p95 < 500ms]}
  endurance: {repeat: 10, run: [{use: send}]}
profiles:
  smoke: {scale: {duration: 0.1, repeat: 0.2}}
"""


def load(tmp_path: Path, text: str, **options):
    path = tmp_path / "plan.yaml"
    path.write_text(text, encoding="utf-8")
    return load_plan(path, environ=options.pop("environ", {}), **options)


def problems(tmp_path: Path, text: str, **options) -> list[str]:
    with pytest.raises(PlanError) as caught:
        load(tmp_path, text, **options)
    return [str(problem).replace(str(tmp_path) + "/", "") for problem in caught.value.problems]


def test_a_good_plan(tmp_path):
    """Durations are seconds, names are resolved, a bare scenario name is a use."""
    plan = load(tmp_path, GOOD).plan
    assert plan.scenarios["send"].executor.duration == 10
    assert plan.stages.baseline.scenarios[0].use == "send"
    assert planned_durations(plan) == {"baseline": 10, "endurance": 110}


def test_unknown_key_names_the_nearest(tmp_path):
    """An unknown key is an error with file, line, column, path and the nearest right key."""
    found = problems(tmp_path, GOOD.replace("health:", "helth:"))
    assert len(found) == 1
    assert found[0].startswith("plan.yaml:4:47: services.api.helth: unknown key `helth`; allowed: ")
    assert "did you mean `health`?" in found[0]


def test_several_errors_at_once(tmp_path):
    """All errors of one kind of check are reported together."""
    text = GOOD.replace("10s", "10x").replace("rate: 10", "rate: -1").replace("name: demo", "name: 1demo")
    assert {line.split(": ")[1] for line in problems(tmp_path, text)} == {
        "name", "scenarios.send.executor.rate", "scenarios.send.executor.duration",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("target: api.http", "target: api.htp", "`api.htp` is no service.port; api has http"),
        ("target: api.http", "target: web.http", "no such service: `web`; the plan has api"),
        ("[send]", "[sendd]", "did you mean `send`?"),
        ("send.p95 < 500ms", "send.p95 < 500", "not with the bare number 500"),
        ("send.p95 < 500ms", "snd.p95 < 500ms", "`snd` is not measured in this stage"),
        ("send.p95 < 500ms", "send.pp95 < 5", "no such metric: `pp95`"),
        ("send.p95 < 500ms", "api.memry < 5", "no such series: `api.memry`"),
        ("get: /", 'get: "/{{ uid() }}"', "the template uses `uid`"),
        ("get: /", 'get: "/{{ uuid( }}"', "not a template"),
        ("get: /", "get: /, checks: [status = 200]", "not a check"),
        ("get: /", "get: /, post: /", "exactly one of get, post"),
        ("get: /", "get: /, ledger: orders", "no such ledger"),
        ('image: "demo:1"', "build: nowhere", "no such file or folder: nowhere/Dockerfile"),
        ("constant-arrival-rate", "constant-arival-rate", "did you mean `constant-arrival-rate`?"),
        ('image: "demo:1", ', "depends_on: [api], image: x, ", "services wait for each other: api → api"),
        ("name: demo", "name: demo\nname: demo", "the key `name` stands twice"),
        ("name: demo", "name: ${NOPE}", "the environment variable NOPE is not set"),
        ("  baseline:", "\tbaseline:", "not YAML"),
        ("version: 1", "version: 2", "must be 1"),
        ("smoke: {scale: {duration: 0.1", "smoke: {scale: {durations: 0.1", "unknown key `durations`"),
    ],
)  # fmt: skip
def test_each_mistake_is_named(tmp_path, old, new, expected):
    """A mistake is one clear sentence; nothing else breaks."""
    assert old in GOOD
    found = problems(tmp_path, GOOD.replace(old, new, 1))
    assert any(expected in line or expected.replace("must be 1", "allowed: 1") in line for line in found), found


def test_variables_profiles_overrides(tmp_path):
    """Variables get their type, a profile scales, an override wins."""
    text = GOOD.replace("rate: 10", 'rate: "${RATE:-20}"')
    assert load(tmp_path, text).plan.scenarios["send"].executor.rate == 20
    smoke = load(
        tmp_path, text, profile="smoke", overrides=["scenarios.send.executor.rate=3"], environ={"RATE": "9"}
    ).plan
    assert (smoke.scenarios["send"].executor.rate, smoke.scenarios["send"].executor.duration) == (3, 1)
    assert smoke.stages.endurance.repeat == 2


def test_wrong_profile_and_override(tmp_path):
    """An unknown profile or path names those there are."""
    assert "the plan has one of smoke" in problems(tmp_path, GOOD, profile="smok")[0]
    assert "did you mean `baseline`?" in problems(tmp_path, GOOD, overrides=["stages.baselin.x=1"])[0]
    assert "not an override" in problems(tmp_path, GOOD, overrides=["nonsense"])[0]


def test_missing_empty_and_binary_files(tmp_path):
    """A file that is no plan is one clear error."""
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "empty").write_text("")
    for name, words in (("none", "no such file"), ("binary", "not UTF-8"), ("empty", "the plan is empty")):
        with pytest.raises(PlanError, match=words):
            load_plan(tmp_path / name, environ={})


def test_secrets_never_reach_the_record(tmp_path):
    """A value whose name looks secret is redacted in what is stored."""
    loaded = load(tmp_path, GOOD)
    assert "hunter22" not in loaded.resolved
    assert loaded.redactor.redact("token hunter22!") == "token ********!"


def test_what_looks_secret():
    """Names of secrets are known; ordinary names are left alone."""
    assert all(map(looks_secret, ["DB_PASSWORD", "api-key", "AUTH_TOKEN", "CLIENT_SECRET"]))
    assert not any(map(looks_secret, ["MONKEY", "AUTHOR", "PATH", "KEYBOARD"]))
    assert Redactor([]).redact("postgresql://u:pw@host/db") == "postgresql://u:********@host/db"


def test_courier_and_starter_load(tmp_path):
    """The plans that we ship have no errors."""
    load_plan(COURIER, environ={})
    load(tmp_path, starter_plan())


def test_schema_accepts_texts_for_durations():
    """The JSON Schema takes what the loader takes."""
    schema = json_schema()
    duration = schema["$defs"]["ConstantVus"]["properties"]["duration"]
    assert sorted(duration["type"]) == ["number", "string"]
    described = schema["$defs"]["NetworkLatency"]["properties"]["latency"]  # a description of its own hides nothing
    assert described["type"] == ["number", "string"]
    assert "x-as-text" not in str(schema)
    assert "profiles" in schema["properties"]


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=8),
                    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(
                        ["version", "name", "services", "stages", "scenarios", "api", "url", "x"]), inner, max_size=4),
                    max_leaves=12))  # fmt: skip
def test_any_document_is_a_plan_or_a_plan_error(tmp_path_factory, document):
    """Whatever YAML comes in, nothing but PlanError comes out."""
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    try:
        load_plan(path, environ={})
    except PlanError as error:
        assert error.problems


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("send.p95 < 500ms", ("send", None, "p95", None, "<", 0.5, "s")),
        ("send.one.p(99.9)<=1s", ("send", "one", "p(99.9)", None, "<=", 1.0, "s")),
        ("send.error_rate < 5%", ("send", None, "error_rate", None, "<", 0.05, "%")),
        ("api.memory < 256MB", ("api", None, "memory", None, "<", 256e6, "B")),
        ("api.memory.growth < 20%", ("api", None, "memory", "growth", "<", 0.2, "%")),
        ("send.throughput > 40/s", ("send", None, "throughput", None, ">", 40.0, "/s")),
    ],
)
def test_thresholds(text, parts):
    """A threshold is subject, metric, operator, value with a unit that fits."""
    found = parse_threshold(text)
    assert (found.subject, found.request, found.metric, found.aggregate, found.op, found.limit, found.unit) == parts


@pytest.mark.parametrize(
    "text", ["send.p95", "p95 < 5ms", "send.p95 < fast", "send.error_rate < 5s", "a.b.c.d.e < 3", ""]
)
def test_wrong_thresholds(text):
    """What is no threshold is refused."""
    with pytest.raises(ValueError):
        parse_threshold(text)


class Answer:
    """An answer to look at."""

    def __init__(self, status=200, body=b"", headers=None, latency=0.01):
        self.status, self.body, self.headers, self.latency = status, body, headers or {}, latency


@pytest.mark.parametrize(
    ("check", "holds", "fails"),
    [
        ("status == 202", Answer(202), Answer(200)),
        ("status in [200, 201]", Answer(201), Answer(204)),
        ("status in 200..299", Answer(250), Answer(300)),
        ("status < 500", Answer(404), Answer(500)),
        ('json.a.0.b == "x"', Answer(body=b'{"a":[{"b":"x"}]}'), Answer(body=b'{"a":[]}')),
        ("json.n > 3", Answer(body=b'{"n":4}'), Answer(body=b'{"n":"4"}')),
        ("json.a exists", Answer(body=b'{"a":null}'), Answer(body=b"{}")),
        ('json.s in ["a", "b"]', Answer(body=b'{"s":"b"}'), Answer(body=b'{"s":"c"}')),
        ('body contains "yes"', Answer(body=b"oh yes"), Answer(body=b"no")),
        ('body matches "^a+$"', Answer(body=b"aaa"), Answer(body=b"aab")),
        ('header.content-type contains "json"', Answer(headers={"content-type": "application/json"}), Answer()),
        ("latency < 50ms", Answer(latency=0.04), Answer(latency=0.06)),
        ("size < 1kB", Answer(body=b"x"), Answer(body=b"x" * 1000)),
    ],
)
def test_checks(check, holds, fails):
    """Each kind of check holds where it should and fails where it should."""
    compiled = compile_checks([check])
    assert compiled.failed(holds) is None
    assert compiled.failed(fails) == check


def test_no_checks_means_below_400():
    """Without checks an error status is a failure."""
    assert compile_checks([]).failed(Answer(404)) == "status < 400"


@pytest.mark.parametrize(
    "text", ["status = 200", "status == ok", "status in 5", "json.a == x", "cookie == 1", "latency < soon"]
)
def test_wrong_checks(text):
    """What is no check is refused."""
    with pytest.raises(ValueError):
        parse_check(text)
