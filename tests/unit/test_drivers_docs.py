"""The reference of drivers says what is so."""

import re
import sys
from pathlib import Path

import pytest

from shakedown.plan import load_plan
from shakedown.plan.driver_checks import SUBJECTS
from shakedown.plan.scenarios import DRIVERS
from shakedown.user import User

REFERENCE = Path(__file__).parent.parent.parent / "docs" / "drivers.md"
TEXT = REFERENCE.read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
PROGRAMS = re.findall(r"```python\n# (\S+)\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES, ids=[re.search(r"name: (\S+)", example)[1] for example in EXAMPLES])
def test_every_example_loads(tmp_path, example):
    """Each example is a whole plan without a problem."""
    (tmp_path / "load").mkdir()
    path = tmp_path / "plan.yaml"
    path.write_text(example, encoding="utf-8")
    assert load_plan(path, environ={}).plan.scenarios


def test_every_driver_and_subject_is_there():
    """Each driver has its section and example; each thing that checks can look at is named in it."""
    for driver in DRIVERS[1:]:
        section = re.search(rf"^## {driver}\n(.*?)(?=^## |\Z)", TEXT, re.DOTALL | re.MULTILINE)[1]
        assert "```yaml" in section
        for subject in SUBJECTS[driver]:
            assert f"`{subject}" in section


def test_the_program_compiles():
    """The example's functions are valid, and use of `User` what it has."""
    assert PROGRAMS
    for name, program in PROGRAMS:
        compile(program, name, "exec")
        for attribute in re.findall(r"\buser\.(\w+)", program):
            assert hasattr(User(), attribute)
    assert sys.version_info >= (3, 11)
