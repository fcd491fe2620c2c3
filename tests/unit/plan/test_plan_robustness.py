"""Plans that are no plans: whatever is written, a PlanError with a place comes out."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from shakedown.errors import PlanError
from shakedown.plan import load_plan

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
API = GOOD.split("services:\n  ")[1].split("\n", maxsplit=1)[0]


def load(tmp_path: Path, text: str, **options):
    path = tmp_path / "plan.yaml"
    path.write_text(text, encoding="utf-8")
    return load_plan(path, environ=options.pop("environ", {}), **options)


def problems(tmp_path: Path, old: str, new: str, **options) -> list[str]:
    assert old in GOOD
    with pytest.raises(PlanError) as caught:
        load(tmp_path, GOOD.replace(old, new, 1), **options)
    return [str(problem).replace(str(tmp_path) + "/", "") for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("name: demo", "name: &a [*a]", "plan.yaml:2:1: name.0: an anchor (&) contains itself (*)"),
        ("version: 1", "version: " + "[" * 3000, "plan.yaml: nested too deep; at most 60 levels are allowed"),
        ("version: 1", "version: " + "[" * 70 + "]" * 70, "nested too deep; at most 60 levels are allowed"),
        ("name: demo", "name: de\x07mo", "plan.yaml:2:9: not YAML: the character U+0007 is not allowed"),
        ("get: /", 'get: "/\\ud800"', "a text holds half of a character"),
        ("rate: 10", "rate: 0x_", 'must be a number, not "0x_"'),
        ("rate: 10", "rate: .inf", "must be a finite number"),
        ("duration: 10s", "duration: .nan", "not a duration: it must be finite"),
        ("duration: 10s", "duration: 1" + "0" * 400, "not a duration: it must be finite"),
        ("duration: 10s", "duration: 0s", "must be greater than 0"),
        ("repeat: 0.2", "repeat: .inf", "a scale must be a number above zero"),
        ("http: 8000", "http: 80000", "must be less than or equal to 65535, not 80000"),
        ("services:\n", "services:\n  <<: 5\n", "`<<` merges mappings alone"),
        ("services:\n", "services:\n  ? [a, b]\n  : 5\n", "a key must be a plain text"),
        ("name: demo", "name: '${A:?nope}'", "not a variable: `${A:?nope}`"),
        ('image: "demo:1"', "image: x, files: {/a: " + "a" * 5000 + "}", "no such file or folder"),
        ("get: /", "get: '/{{ uuid() | nofilter }}'", "not a template: No filter named 'nofilter'."),
        ("target: api.http\n", "target: api.http\n      headers: {X: '{{ uid() }}'}\n", "the template uses `uid`"),
        (API, 'api: {url: "http://x:99999"}', "not an address"),
        (API, 'api: {url: "http://[bad"}', "not an address"),
        (API, 'api: {url: "http://127.0.0.1", health: {docker: true}}', "an address has no Docker healthcheck"),
    ],
)  # fmt: skip
def test_what_is_no_plan_is_one_clear_error(tmp_path, old, new, expected):
    """Nothing a file can hold ends in a traceback; the sentence names what is wrong."""
    found = problems(tmp_path, old, new, profile="smoke")
    assert any(expected in line for line in found), found


def test_aliases_that_unfold_without_end_are_refused(tmp_path):
    """Layers of aliases end in an error long before memory does."""
    layers = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    layers += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    with pytest.raises(PlanError, match="more than 200000 values"):
        load(tmp_path, "\n".join(layers))


@pytest.mark.parametrize(
    ("old", "new", "key", "hint"),
    [
        (API, "api: {process: [python3, app.py], helth: {tcp: 1}}", "services.api.helth", "health"),
        ("run: [{use: send}]", "run: [{suite: unit, wokers: 3}]", "stages.endurance.run.0.wokers", "workers"),
        ("API_TOKEN: hunter22", "X: {value: a, secrt: true}", "services.api.environment.X.secrt", "secret"),
    ],
)
def test_members_of_unions_do_not_show(tmp_path, old, new, key, hint):
    """One mistake inside a union is one problem, at the key as written, with the nearest right one."""
    found = problems(tmp_path, old, new)
    assert len(found) == 1, found
    assert f": {key}: unknown key" in found[0]
    assert f"did you mean `{hint}`?" in found[0]


def test_every_profile_is_checked(tmp_path):
    """A mistake in a profile that is not chosen is found all the same, at its own line."""
    scale = "scale: {duration: 0.1, repeat: 0.2}"
    assert problems(tmp_path, scale, "stages: {endurance: {repaet: 5}}")[0].startswith("plan.yaml:15:32: stages.")
    assert "(in the profile `smoke`)" in problems(tmp_path, scale, "stages: {endurance: {run: [{use: sned}]}}")[0]


def test_a_quoted_repeat_is_scaled_too(tmp_path):
    """A number in quotes, as a variable needs it inside braces, is scaled like any other."""
    text = GOOD.replace("repeat: 10,", 'repeat: "${N:-10}",')
    assert load(tmp_path, text, profile="smoke").plan.stages.endurance.repeat == 2


@pytest.mark.parametrize("text", ["0123", "1_000", "1.10", "yes", "0x1F"])
def test_a_variable_keeps_its_exact_text(tmp_path, text):
    """A password such as 0123 reaches the service as it is, never as a number."""
    block = GOOD.replace("environment: {API_TOKEN: hunter22}}", "environment: {}}").replace(
        "scenarios:\n  send", "  db:\n    image: db\n    environment:\n      PIN: ${P}\nscenarios:\n  send", 1
    )
    assert load(tmp_path, block, environ={"P": text}).plan.services["db"].environment["PIN"] == text


@pytest.mark.parametrize("host", ["127.evil.example", "localhost.evil.example", "[::1234]", "10.0.0.1", "0.0.0.0"])
def test_load_on_other_machines_is_refused(tmp_path, host):
    """What merely begins like a loopback address is not this machine."""
    assert "which is not on this machine" in problems(tmp_path, API, f'api: {{url: "http://{host}"}}')[0]


@pytest.mark.parametrize("host", ["127.0.0.1:80", "127.9.9.9", "[::1]:8000", "LocalHost"])
def test_load_on_this_machine_is_allowed(tmp_path, host):
    """Loopback addresses and localhost need no `allow`."""
    assert load(tmp_path, GOOD.replace(API, f'api: {{url: "http://{host}"}}')).plan.services["api"].url


_TREE = yaml.safe_load(GOOD)


def _paths(value: object, path: tuple = ()) -> list[tuple]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for key, item in items for found in [(*path, key), *_paths(item, (*path, key))]]


_ODD = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=12), st.just([]), st.just({}),
    st.sampled_from(["${A}", "{{ x }}", "{% if %}", "api.", ".", "send.p95 <", "1e999", "-5%", "http://[", "\x00", "9" * 500,
                     10**400, "${A:-${B}}", ["send", "send"], {"use": None}, {"suite": 1}, "a" * 5000]),
)  # fmt: skip


@settings(max_examples=300)
@given(path=st.sampled_from(_paths(_TREE)), value=_ODD, profile=st.sampled_from([None, "smoke", "none"]))
def test_any_mutated_plan_is_a_plan_or_a_plan_error(tmp_path_factory, path, value, profile):
    """A good plan with any value replaced by any other raises nothing but PlanError."""
    tree = yaml.safe_load(GOOD)
    here = tree
    for step in path[:-1]:
        here = here[step]
    here[path[-1]] = value
    file = tmp_path_factory.getbasetemp() / "mutated.yaml"
    file.write_text(yaml.safe_dump(tree), encoding="utf-8")
    try:
        load_plan(file, profile=profile, environ={})
    except PlanError as error:
        assert all(problem.message for problem in error.problems)


@settings(max_examples=200)
@given(
    path=st.sampled_from(["name", "stages.endurance.repeat", "scenarios.send.executor.rate", "stages.baseline", "x.y"]),
    value=st.text(max_size=20),
)
def test_any_override_is_a_plan_or_a_plan_error(tmp_path_factory, path, value):
    """Whatever `--set` says raises nothing but PlanError."""
    file = tmp_path_factory.getbasetemp() / "overridden.yaml"
    file.write_text(GOOD, encoding="utf-8")
    try:
        load_plan(file, overrides=[f"{path}={value}"], environ={})
    except PlanError as error:
        assert error.problems
