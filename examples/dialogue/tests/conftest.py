"""Each test has a store of its own."""

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).parents[1] / "app"))

from dialogue import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty store."""
    made = Store(tmp_path / "dialogue.db")
    yield made
    made.close()


@pytest.fixture
def at_once() -> Callable:
    """Run a function for each argument, all in threads of their own; what any of them raised is raised."""

    def run(function, arguments):
        arguments = list(arguments)
        with ThreadPoolExecutor(len(arguments)) as pool:
            return list(pool.map(function, arguments))

    return run
