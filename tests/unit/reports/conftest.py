"""One store with a run of every kind."""

from pathlib import Path

import pytest

from shakedown.results import Results, Store
from tests.unit.reports.scenes import SCENES


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """The scenes, each as the run of its name."""
    store = Store.open(tmp_path_factory.mktemp("store"))
    for name, write in SCENES.items():
        write(store, name)
    return Results(store.engine)


@pytest.fixture
def golden(request: pytest.FixtureRequest):
    """Compare a text with its golden file; `--update-golden` writes the file instead."""

    def compare(name: str, text: str) -> None:
        path = Path(__file__).parent / "golden" / name
        if request.config.getoption("--update-golden"):
            path.write_text(text, encoding="utf-8")
        assert text == path.read_text(encoding="utf-8"), f"{path} differs; --update-golden writes it anew"

    return compare
