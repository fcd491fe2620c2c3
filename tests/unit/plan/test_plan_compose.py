"""`services: {compose: …}`: a Compose file's services as the plan's own, and every mistake with its place."""

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from shakedown.errors import PlanError
from shakedown.plan import json_schema, load_plan
from shakedown.plan.compose_file import port_names, read_compose
from shakedown.plan.services import ComposeService, StubService
from shakedown.results.workload import workload_digest

FILE = """\
x-common: &common
  environment: [STAGE=test, "TOKEN=${TOKEN:-hunter22}"]
services:
  api:
    <<: *common
    image: api
    ports: ["8080:80", "127.0.0.1:9000-9001:9000-9001/tcp", "53:53/udp", {target: 7000, name: admin}]
    depends_on: {db: {condition: service_healthy}, migrate: {condition: service_completed_successfully}}
    deploy: {resources: {limits: {memory: 256M, cpus: "0.5"}}}
  db:
    image: db
    expose: ["${DB_PORT-5432}"]
    mem_limit: 1g
    healthcheck: {test: [CMD, "true"], interval: 5s, timeout: 2s, retries: 3, start_period: 1m30s}
  migrate: {image: api, depends_on: [db]}
  cache: {image: cache, expose: [6379], links: ["db:database"], healthcheck: {disable: true}}
  debug: {image: debug, profiles: [tools]}
"""
STUB = {"stub": {"routes": [{"path": "/"}]}}


def load(tmp_path: Path, services: dict, text: str = FILE, environ: dict | None = None, **extra):
    """The plan with these services, beside a Compose file."""
    (tmp_path / "docker-compose.yml").write_text(text, encoding="utf-8")
    plan = {
        "version": 1, "name": "shop", "services": services,
        "scenarios": {"read": {
            "executor": {"type": "constant-arrival-rate", "rate": 5, "duration": "5s"},
            "http": {"target": "api.http", "requests": [{"name": "r", "get": "/"}]},
        }},
        "stages": {"baseline": {"scenarios": ["read"], "thresholds": ["api.memory < 100MB"]}}, **extra,
    }  # fmt: skip
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(plan, sort_keys=False), encoding="utf-8")
    return load_plan(tmp_path / "plan.yaml", environ=environ or {})


def problems(tmp_path: Path, services: dict, text: str = FILE) -> list[str]:
    """What is wrong with it, one text each."""
    with pytest.raises(PlanError) as caught:
        load(tmp_path, services, text)
    return [str(problem).replace(str(tmp_path) + "/", "") for problem in caught.value.problems]


def test_every_service_of_the_file_is_one_of_the_plan(tmp_path):
    """Ports, order, health, limits as the file says; profiles left out; what the plan says beside it is added."""
    options = {"ports": {"web": 80}, "environment": {"MORE": "1"}, "depends_on": ["cache"], "health": {"tcp": "web"}}
    plan = load(
        tmp_path, {"compose": "docker-compose.yml", "api": options}, FILE.replace('"8080:80"', '"8080:80", "81:81"')
    ).plan
    assert list(plan.services) == ["api", "db", "migrate", "cache"]
    api, db, cache = (plan.services[name] for name in ("api", "db", "cache"))
    assert all(isinstance(one, ComposeService) and one.kind == "docker" for one in plan.services.values())
    assert api.ports == {"web": 80, "http": 81, "tcp-9000": 9000, "tcp-9001": 9001, "admin": 7000}
    assert api.depends_on == ["db", "migrate", "cache"]
    assert api.environment == {"STAGE": "test", "TOKEN": "hunter22", "MORE": "1"}
    assert api.compose.environment == ["MORE"], "what the file itself gives is not ours to say again"
    assert (api.limits.memory, api.limits.cpus, db.limits.memory) == (256 * 1024**2, 0.5, 1024**3)
    assert db.ports == {"postgres": 5432}
    assert (db.health.docker, db.health.within) == (True, 90 + 7 * 4)
    assert (cache.health, cache.depends_on) == (None, ["db"])
    assert plan.services["migrate"].compose.finishes


def test_the_stored_plan_has_no_secrets_and_is_a_plan(tmp_path):
    """What is stored hides values with secret names, and can be read again when runs are compared."""
    loaded = load(tmp_path, {"compose": "docker-compose.yml"})
    assert "hunter22" not in loaded.resolved
    assert loaded.redactor.redact("token hunter22") == "token ********"
    assert json.loads(loaded.resolved)["services"]["api"]["compose"]["files"] == ["docker-compose.yml"]
    assert workload_digest(loaded.resolved)


def test_variables_of_the_file(tmp_path):
    """The plan's win over the environment, that over `.env`, that over the file's own default."""
    (tmp_path / ".env").write_text("DB_PORT=1111\nexport TOKEN='from-env-file'\n# A=1\n")
    read = read_compose([load(tmp_path, {"compose": "docker-compose.yml"}).base / "docker-compose.yml"], {})
    assert read.services["api"].environment["TOKEN"] == "from-env-file"  # noqa: S105 - a test's
    given = {"compose": {"file": "docker-compose.yml", "variables": {"DB_PORT": "3333"}}}
    assert list(load(tmp_path, given).plan.services["db"].ports.values()) == [3333]
    found = load(tmp_path, {"compose": "docker-compose.yml"}, environ={"DB_PORT": "2222"}).plan
    assert list(found.services["db"].ports.values()) == [2222]


def test_several_files_and_folders(tmp_path):
    """Files are merged in their order; a folder is looked into as Compose does."""
    (tmp_path / "more.yml").write_text("services: {api: {ports: [82]}, extra: {image: x}}")
    plan = load(tmp_path, {"compose": ["docker-compose.yml", "more.yml"]}).plan
    assert "extra" in plan.services
    assert 82 in plan.services["api"].ports.values()
    assert load(tmp_path, {"compose": "."}).plan.services["db"].compose.files == ["docker-compose.yml"]


def test_only_some_and_profiles(tmp_path):
    """`only` takes what it needs along; a profile adds its services."""
    assert list(load(tmp_path, {"compose": {"file": "docker-compose.yml", "only": ["api"]}}).plan.services) == [
        "api",
        "db",
        "migrate",
    ]
    assert "debug" in load(tmp_path, {"compose": {"file": "docker-compose.yml", "profiles": ["tools"]}}).plan.services


def test_a_container_of_the_plans_own_in_a_services_place(tmp_path):
    """A stub under the name of a service of the file takes its place, in the order that others need."""
    plan = load(tmp_path, {"compose": "docker-compose.yml", "cache": STUB, "vendor": STUB}).plan
    assert isinstance(plan.services["cache"], StubService)
    assert list(plan.services) == ["api", "db", "migrate", "cache", "vendor"]


def test_a_service_called_compose(tmp_path):
    """A service that says what it is may be called so."""
    services = {"compose": {"image": "x"}, "api": {"image": "api", "ports": {"http": 80}}}
    assert list(load(tmp_path, services).plan.services) == ["compose", "api"]


UNKNOWN = (
    "plan.yaml:5:3: services.apii: no such service: docker-compose.yml has no `apii`; it has api, db, migrate, cache\n"
    "  hint: did you mean `api`?"
)
NO_PROFILE = (
    "`debug` is in docker-compose.yml, but is not started\n  hint: it has a profile of Compose, or `only` leaves it out"
)


@pytest.mark.parametrize(
    ("services", "said"),
    [
        ({"compose": "none.yml"}, "plan.yaml:4:3: services.compose: no such file: none.yml"),
        ({"compose": {"file": "none.yml"}}, "plan.yaml:5:5: services.compose.file: no such file: none.yml"),
        ({"compose": {"fil": "x"}}, "services.compose.fil: unknown key `fil`; allowed: file, attach, only"),
        ({"compose": {}}, "services.compose: the key `file` is missing"),
        ({"compose": 12}, "services.compose: must be a Compose file, a list of them, or a mapping"),
        ({"compose": "docker-compose.yml", "apii": {}}, UNKNOWN),
        ({"compose": "docker-compose.yml", "debug": {}}, f"services.debug: {NO_PROFILE}"),
        ({"compose": {"file": "docker-compose.yml", "only": ["apo"]}}, "services.compose.only.0: no such service"),
        ({"compose": "docker-compose.yml", "db": {"command": "x"}}, "services.db.command: `command` of `db` stands in the Compose file"),
        ({"compose": "docker-compose.yml", "db": {"url": "http://127.0.0.1:1"}}, "services.db.url: `url` cannot stand in for"),
        ({"compose": "docker-compose.yml", "db": {"ports": {"web": 70000}}}, "services.db.ports.web"),
        ({"compose": "docker-compose.yml", "db": []}, "services.db: must be a mapping"),
        ({"compose": {"file": "docker-compose.yml", "attach": "x"}, "api": {"environment": {"A": "b"}}},
         "services.api.environment: `api` runs already: its `environment` cannot be changed"),
        ({"compose": {"file": "docker-compose.yml", "attach": "x"}, "cache": STUB}, "`cache` is attached to: nothing can be put in its place"),
        ({"api": {"compose": {"files": []}}}, "services.api.compose: `compose` stands beside the services, not inside one"),
    ],
)  # fmt: skip
def test_mistakes_in_the_plan(tmp_path, services, said):
    """Each is told with file, line, key, and what is allowed."""
    assert any(said in one for one in problems(tmp_path, services)), problems(tmp_path, services)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("services: [", "docker-compose.yml:1:12: not YAML"),
        ("", "docker-compose.yml:1:1: no Compose file: it has no services"),
        ("web: {image: x}", "docker-compose.yml:1:1: no Compose file: it has no services"),
        ("include: [a.yml]\nservices: {api: {image: x, ports: [80]}}", "docker-compose.yml:1:1: include: what the file includes is not read"),
        ("services:\n  api: 1", "docker-compose.yml:2:3: services.api: a service is a mapping"),
        ("services:\n  api:\n    ports: [80, '8080:x']", "docker-compose.yml:3:17: services.api.ports.1: `8080:x` names no port"),
        ("services:\n  api:\n    network_mode: host", "docker-compose.yml:3:5: services.api.network_mode: `api` has network_mode host"),
        ("services:\n  my.api: {image: x}", "docker-compose.yml:2:3: services.my.api: `my.api` cannot be a service's name in a plan"),
    ],
)  # fmt: skip
def test_mistakes_in_the_compose_file(tmp_path, text, said):
    """Each is told with the Compose file's own name and line."""
    assert any(said in one for one in problems(tmp_path, {"compose": "docker-compose.yml"}, text))


def test_names_of_ports():
    """Well-known numbers by what is spoken there, the first other `http`; never two of one name, never a given one."""
    assert port_names({5432: None, 8000: None, 9000: None, 443: None, 8443: None}, {}) == {
        "postgres": 5432, "http": 8000, "tcp-9000": 9000, "https": 443, "tcp-8443": 8443,
    }  # fmt: skip
    assert port_names({80: "web site", 81: "web", 82: "web"}, {"http": 90}) == {
        "http": 90,
        "tcp-80": 80,
        "web": 81,
        "tcp-82": 82,
    }


def test_the_schema_for_editors(tmp_path):
    """It takes `compose` as text, list and mapping, and the options beside it; not a mapping that is none."""
    validator = jsonschema.Draft202012Validator(json_schema())
    jsonschema.Draft202012Validator.check_schema(json_schema())

    def good(services: dict) -> bool:
        return bool(validator.is_valid({"version": 1, "name": "x", "stages": {}, "services": services}))

    assert good({"compose": "a.yml", "api": {"ports": {"http": 80}, "health": {"tcp": "http"}}})
    assert good({"compose": ["a.yml", "b.yml"]})
    assert good({"compose": {"file": "a.yml", "attach": "shop"}})
    assert good({"compose": {"image": "x"}})
    assert not good({"compose": {"attach": "shop", "fiel": "a.yml"}})
    assert not good({"api": {"compose": {"files": ["a.yml"]}}})
