"""One Prefect server for many runs: one of its own for each costs more than most runs."""

from collections.abc import Iterator

import pytest

from tests.e2e.servers import serving


@pytest.fixture(scope="session")
def _shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(tmp_path_factory.mktemp("shared")) as environment:
        yield environment["PREFECT_API_URL"]


@pytest.fixture
def shared_server(_shared_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs of this test use the server that tests share, instead of starting a temporary one each."""
    monkeypatch.setenv("PREFECT_API_URL", _shared_server)
