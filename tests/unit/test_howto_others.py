"""The how-tos for a chatbot, an api over two stores, and a library: the blocks of each are one plan, as they stand and as smoke."""

import ast
import re

import pytest
import yaml

from shakedown.plan import load_plan
from tests.conftest import ROOT
from tests.unit.test_howto_webhook import merged

FILES = {
    "howto-chatbot-with-queue.md": ("Dockerfile", "load/conversation.py"),
    "howto-api-on-postgres-and-redis.md": ("Dockerfile", "load/clients.py"),
    "howto-library.md": ("load/use.py", "tests/test_store.py"),
}
FUNCTIONS = (
    "def talk(user): ...\ndef give_up(user): ...\ndef write(user): ...\ndef look(user): ...\ndef fill(user): ...\n"
)


def page(name):
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def blocks(name, kind):
    return re.findall(rf"^```{kind}\n(.*?)^```", page(name), re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("profile", [None, "smoke"])
@pytest.mark.parametrize("name", FILES)
def test_the_blocks_are_one_plan(tmp_path, name, profile):
    """All YAML of the page together loads, and goes through the stages that the page speaks of."""
    plan: dict = {}
    for block in blocks(name, "yaml"):
        plan = merged(plan, yaml.safe_load(block))
    for file in FILES[name]:
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text(FUNCTIONS if file.startswith("load/") else "")
    (tmp_path / "shakedown.yaml").write_text(yaml.safe_dump(plan))
    loaded = load_plan(tmp_path / "shakedown.yaml", profile=profile, environ={}).plan
    stages = {stage for stage, content in loaded.stages if content is not None}
    assert stages == {"baseline", "stress", "endurance", "recovery", *(["faults"] if loaded.services else [])}
    assert loaded.ledgers
    assert set(loaded.stages.recovery.ledgers) == set(loaded.ledgers)


@pytest.mark.parametrize("name", FILES)
def test_its_programs_are_some(name):
    """What is shown in Python can be read by Python."""
    shown = blocks(name, "python")
    assert shown
    for block in shown:
        ast.parse(block)


@pytest.mark.parametrize("name", FILES)
def test_what_it_points_at_is_there(name):
    """Every file that the page names is one, and the first page of all names this one."""
    for path in re.findall(r"`((?:docs|examples)/[\w./-]+)`", page(name)):
        assert (ROOT / path).exists(), path
    assert f"docs/{name}" in (ROOT / "README.md").read_text(encoding="utf-8")
