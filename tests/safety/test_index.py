"""Every safety property names its tests, and they exist."""

import ast
import re
from pathlib import Path

import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.safety
INDEX = (Path(__file__).parent / "README.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (\d+) \| (.+?) \| (.+) \|$", INDEX, re.MULTILINE)
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", INDEX)))


def test_all_sixteen_are_there():
    """Each property has its row, and each row its tests."""
    assert [int(number) for number, _, _ in ROWS] == list(range(1, 17))
    assert all("::test_" in tests for _, _, tests in ROWS)


@pytest.mark.parametrize(("path", "name"), NAMED, ids=[name for _, name in NAMED])
def test_every_named_test_exists(path, name):
    """A test that was renamed or taken away leaves no property uncovered in silence."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    functions = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    assert name in functions


def test_every_safety_test_is_named():
    """No test of the real thing here is missing from the index."""
    here = {path.name: path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_*.py")}
    for name in ("test_ground.py", "test_times.py"):
        for test in re.findall(r"^def (test_\w+)", here[name], re.MULTILINE):
            assert f"tests/safety/{name}::{test}`" in INDEX, test
