"""Secrets: whatever they look like and wherever they stand, the record does not have them."""

import json
from pathlib import Path

import pytest

from shakedown.errors import PlanError
from shakedown.plan import Redactor, load_plan
from shakedown.plan.secrets import REDACTED, looks_secret
from shakedown.session import RunOptions

PLAN = """\
version: 1
name: demo
services:
  api:
    image: demo
    command: [serve, "--key", "${MY_TOKEN:-nothing}"]
    environment:
      %s
stages: {baseline: {}}
"""


def resolve(tmp_path, line, **options):
    path = tmp_path / "plan.yaml"
    path.write_text(PLAN % line, encoding="utf-8")
    return load_plan(path, environ=options.pop("environ", {}), **options)


@pytest.mark.parametrize(
    ("line", "secret"),
    [
        ("API_TOKEN: 98765", "98765"),
        ("API_TOKEN: xyz", "xyz"),
        ("""API_TOKEN: 'hu"nter\\22'""", "nter\\"),
        ("SECRET_KEY: hunter22", "hunter22"),
        ("MY_CREDENTIALS: hunter22", "hunter22"),
        ("PGPASSWORD: hunter22", "hunter22"),
        ("PLAIN: {value: 987654, secret: true}", "987654"),
        ("CACHE: 'redis://:hunter22@cache'", "hunter22"),
        ("DSN: 'host=db password=hunter22 user=me'", "hunter22"),
    ],
)
def test_no_secret_in_the_record(tmp_path, line, secret):
    """Numbers, short ones, ones with quotes, in URLs and in connection strings: none is in valid JSON of the plan."""
    loaded = resolve(tmp_path, line)
    assert json.loads(loaded.resolved)["name"] == "demo"
    assert secret not in loaded.resolved
    assert json.dumps(secret)[1:-1] not in loaded.resolved


def test_variables_that_look_secret_are_hidden_wherever_they_stand(tmp_path):
    """A secret variable inside a command is secret too, in the record and in logs."""
    loaded = resolve(tmp_path, "A: b", environ={"MY_TOKEN": "hunter22"})
    assert loaded.plan.services["api"].command[-1] == "hunter22"
    assert "hunter22" not in loaded.resolved
    assert "hunter22" not in loaded.redactor.redact("started with hunter22")


def test_the_command_that_repeats_a_run_names_the_variables_that_its_plan_read(tmp_path):
    """Those that came from the environment stand before it, quoted for a shell; secret ones without their value."""
    environ = {"MY_TOKEN": "hunter22", "DEFECTS": "race, lost writes", "OTHER": "1"}
    loaded = resolve(tmp_path, "A: ${DEFECTS:-}\n      B: ${UNSET:-x}", environ=environ)
    command = RunOptions(Path("plan.yaml"), profile="smoke").command(loaded.variables)
    assert command == f"DEFECTS='race, lost writes' MY_TOKEN='{REDACTED}' shakedown run plan.yaml --profile smoke"


def test_overrides_in_the_record(tmp_path):
    """What `--set` gave for a secret name is not kept, however short."""
    loaded = resolve(tmp_path, "A: b", overrides=["services.api.environment.API_TOKEN=abc", "name=other"])
    assert loaded.overrides == ("services.api.environment.API_TOKEN=********", "name=other")


def test_errors_do_not_show_secrets(tmp_path):
    """An error about a secret names its place, not its value."""
    with pytest.raises(PlanError) as caught:
        resolve(tmp_path, "API_TOKEN: [hunter22]")
    assert "services.api.environment.API_TOKEN" in str(caught.value)
    assert "hunter22" not in str(caught.value)


def test_what_is_said_not_to_be_secret_is_shown(tmp_path):
    """`secret: false` wins over the name."""
    assert "hunter22" in resolve(tmp_path, "API_TOKEN: {value: hunter22, secret: false}").resolved


def test_names():
    """Names of secrets are known; names of what is about them are left alone."""
    secret = ["SECRET_KEY", "SECRET_KEY_BASE", "clientSecret", "MYSQL_PWD", "X-Api-Key", "Authorization", "Cookie"]
    plain = ["TOKEN_TTL", "MAX_TOKENS", "PASSWORD_FILE", "PARTITION_KEY", "PUBLIC_KEY", "BYPASS", "AUTHOR", ""]
    assert {name: looks_secret(name) for name in secret + plain} == {name: name in secret for name in secret + plain}


def test_other_forms_of_a_secret():
    """Inside JSON, inside a URL, and line by line, a secret is the same secret."""
    redact = Redactor(['a"b/c d', "-----BEGIN-----\nabcdefghijklmnopqrst\n-----END-----"]).redact
    assert redact(json.dumps({"x": 'a"b/c d'})) == '{"x": "********"}'
    assert redact("?t=a%22b%2Fc%20d") == "?t=********"
    assert redact("log: abcdefghijklmnopqrst") == "log: ********"
    assert redact("redis://:pw@cache") == "redis://:********@cache"


FAULTS = """\
version: 1
name: demo
services: {api: {image: demo, ports: {http: 80}}}
scenarios: {s: {executor: {type: constant-vus, vus: 1, duration: 1s}, http: {target: api.http, requests: [{name: r, get: /}]}}}
stages:
  faults:
    load: s
    experiments:
      - {name: a, hold: 1s, recover_within: 5s, fault: {type: service-replace, target: api, environment: {DB_PASSWORD: hunter22, PIN: 9}}}
      - name: b
        hold: 1s
        recover_within: 5s
        fault: {type: custom-command, inject: "PASSWORD=hunter33 break", revert: [mend, "--url", "redis://:hunter44@cache"], proof: "true"}
      - {name: c, hold: 1s, recover_within: 5s, fault: {type: http-header, target: api, set: {Authorization: "hunter55"}}}
"""


def test_what_faults_are_given(tmp_path):
    """A replaced environment, a command, a header: in no record, and taken out of whatever is said later."""
    path = tmp_path / "plan.yaml"
    path.write_text(FAULTS, encoding="utf-8")
    loaded = load_plan(path, environ={})
    said = loaded.redactor.redact("psql: hunter22, hunter33, hunter44 and hunter55 were refused")
    for text in (loaded.resolved, said):
        assert not any(f"hunter{number}" in text for number in (22, 33, 44, 55)), text
    replaced = json.loads(loaded.resolved)["stages"]["faults"]["experiments"][0]["fault"]
    assert replaced["environment"] == {"DB_PASSWORD": REDACTED, "PIN": REDACTED}
