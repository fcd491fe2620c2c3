"""What a plan may say about faults of databases, what goes together, and what their pure parts make of words."""

import re

import pytest
import yaml
from pydantic import TypeAdapter, ValidationError

from shakedown.faults.databases import FAULTS
from shakedown.faults.databases.again import Again
from shakedown.faults.databases.psql import fill, literal
from shakedown.plan.faults import FaultPlan, conflict
from shakedown.plan.faults.databases import DatabaseFault, OnPostgres
from shakedown.plan.loading import load_plan
from shakedown.plan.model import Plan
from tests.conftest import ROOT

EXAMPLES = re.findall(
    r"```yaml\n(.*?)```", (ROOT / "docs" / "database-faults.md").read_text(encoding="utf-8"), re.DOTALL
)
FAULT: TypeAdapter[FaultPlan] = TypeAdapter(FaultPlan)
INSIDE = sorted(
    set(FAULTS) - {"postgres-slow-queries"}
)  # that one is the proxy's: it needs no session and no container


def fault(kind: str, **more: object):
    """A fault as a plan writes it."""
    needed = {"postgres-lock": {"table": "t"}, "postgres-max-connections": {"connections": 1},
              "postgres-slow-queries": {"delay": "1s"}, "redis-flush": {"destructive": True}, "redis-evict": {"destructive": True},
              "redis-failover": {"replica": "copy"}}.get(kind, {})  # fmt: skip
    return FAULT.validate_python({"type": kind, "target": "db", **needed, **more})


@pytest.fixture(scope="module")
def plan() -> Plan:
    services = {"db": {"image": "x", "ports": {"sql": 1}}, "copy": {"image": "x"}, "program": {"process": ["x"]}}
    return Plan.model_validate({"version": 1, "name": "p", "services": services, "stages": {}})


def test_every_fault_of_the_plan_can_be_carried_out():
    """The plan's classes and the engine's have the same types."""
    assert {kind.model_fields["type"].default for kind in DatabaseFault.__args__} == set(FAULTS)


@pytest.mark.parametrize("kind", INSIDE)
def test_every_fault_works_on_containers_alone(plan, kind):
    """A container has no problem; a program has one."""
    assert list(fault(kind).problems(plan)) == []
    assert "docker" in next(iter(fault(kind, target="program").problems(plan)))[1]


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("postgres-hold-connections", {"leave": 1, "connections": 2}),
        ("postgres-hold-connections", {"connections": 0}),
        ("postgres-lock", {"table": "orders; DROP TABLE orders"}),
        ("postgres-lock", {"mode": "row share"}),
        ("postgres-slow-commits", {"delay": "200ms"}),
        ("postgres-terminate", {"every": "100ms"}),
        ("redis-maxmemory", {"maxmemory": 0}),
        ("redis-block", {"block": "11s"}),
        ("redis-pause", {"commands": "reads"}),
        ("redis-pause", {"password_variable": "A; rm -rf /"}),
        ("redis-flush", {"destructive": False}),
        ("redis-flush", {"destructive": None}),
        ("redis-evict", {"destructive": False}),
    ],
)
def test_limits(kind, more):
    """What is beyond a parameter's limits is refused when the plan is read."""
    with pytest.raises(ValidationError):
        fault(kind, **more)


def test_what_destroys_must_say_so():
    """Without `destructive: true` there is no flush and no eviction."""
    for kind in ("redis-flush", "redis-evict"):
        with pytest.raises(ValidationError, match="destructive"):
            FAULT.validate_python({"type": kind, "target": "db"})


def test_a_replica_is_another_container(plan):
    """Not the target itself, not a program, not a name that nobody has."""
    for replica in ("db", "program", "cupy"):
        problems = list(fault("redis-failover", replica=replica).problems(plan))
        assert [where for where, _, _ in problems] == [("replica",)]


@pytest.mark.parametrize("kind", [kind for kind in INSIDE if kind.startswith("postgres")])
def test_where_no_session_is_left_no_other_fault_has_one(kind):
    """All connections held: every other fault of the same server would find no way in."""
    assert conflict(fault("postgres-hold-connections"), fault(kind))
    assert not conflict(fault("postgres-hold-connections"), fault(kind, target="other"))


def test_what_goes_together():
    """Locks of two tables, a lock and slow commits; not two limits of memory, nor anything with a paused server."""
    assert not conflict(fault("postgres-lock"), fault("postgres-lock", table="u"))
    assert conflict(fault("postgres-lock"), fault("postgres-lock", mode="share"))
    assert not conflict(fault("postgres-lock"), fault("postgres-slow-commits"))
    assert conflict(fault("redis-maxmemory"), fault("redis-evict"))
    assert conflict(fault("redis-pause"), fault("redis-kill-clients"))
    assert conflict(fault("redis-failover"), fault("redis-maxmemory", target="copy"))
    assert not conflict(fault("redis-maxmemory"), fault("redis-kill-clients"))


@pytest.mark.parametrize("kind", INSIDE)
def test_what_takes_the_whole_service_leaves_nothing_to_others(kind):
    """A killed server has no faults of its own at the same time; a slow network to it goes together with all of them."""
    assert conflict(fault("service-kill"), fault(kind))
    assert not conflict(fault("network-latency", latency="1s"), fault(kind))


def test_texts_in_statements_are_quoted():
    """A quote in a text stays in the text; a text with a brace is not filled again."""
    assert literal("a'b") == "'a''b'"
    assert fill("x = {a} AND y = {b}", a="it's {b}", b="2") == "x = 'it''s {b}' AND y = '2'"


def test_nothing_is_done_again_after_an_error():
    """The error reaches whoever looks; ending it twice does no harm."""
    done: list[int] = []

    def act() -> None:
        done.append(1)
        raise ValueError("no")

    again = Again(act, 0.0, float("inf"))
    again._thread.join(5)
    assert done == [1]
    with pytest.raises(Exception, match="no"):
        again.look()
    again.end()
    again.end()
    assert again.ended


def test_nothing_is_done_beyond_the_deadline():
    """A deadline that has passed: not even once."""
    done: list[int] = []
    again = Again(lambda: done.append(1), 0.0, 0.0)
    again._thread.join(5)
    assert done == []


def test_no_parameter_holds_a_password():
    """Credentials are found in the container: a plan has no place for them."""
    for kind in DatabaseFault.__args__:
        assert "password" not in kind.model_fields
    assert "user" in OnPostgres.model_fields


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda text: text.partition("\n")[0])
def test_every_documented_example_loads(tmp_path, example):
    """Each is an experiment of a plan without a problem."""
    service = {"image": "x:1", "ports": {"http": 8000}}
    plan = {
        "version": 1, "name": "demo", "services": dict.fromkeys(("api", "db", "redis", "redis-copy"), service),
        "scenarios": {"get": {"executor": {"type": "constant-vus", "vus": 1, "duration": "5s"},
                              "http": {"target": "api.http", "requests": [{"name": "r", "get": "/"}]}}},
        "stages": {"faults": {"load": "get", "experiments": [yaml.safe_load(example)]}},
    }  # fmt: skip
    path = tmp_path / "plan.yaml"
    path.write_text(yaml.safe_dump(plan), encoding="utf-8")
    assert load_plan(path, environ={}).plan.experiments


def test_every_fault_is_documented():
    """Each type is in an example."""
    assert not [kind for kind in FAULTS if not any(f"type: {kind}," in example for example in EXAMPLES)]
