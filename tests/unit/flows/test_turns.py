"""One run of a plan at a time."""

import threading
from types import SimpleNamespace
from uuid import uuid4

import pytest
from prefect.context import FlowRunContext

from flows import turns
from flows.turns import turn
from shakedown.errors import StoreError
from shakedown.session.progress import listen


@pytest.fixture
def started(monkeypatch):
    """Say how Prefect started the flow that goes on here."""

    def say(**properties: object) -> None:
        flow = SimpleNamespace(flow_run=SimpleNamespace(**{"deployment_id": None, "run_count": 1, **properties}))
        monkeypatch.setattr(FlowRunContext, "get", classmethod(lambda _: flow))

    monkeypatch.setattr(turns, "LOOK_AGAIN", 0.01)
    return say


@pytest.mark.parametrize("how", [{"deployment_id": uuid4()}, {"run_count": 2}], ids=["deployed", "retried"])
def test_a_second_run_waits(started, tmp_path, how):
    """A deployment's run, and one that is tried again, begin when the one before has ended."""
    started(**how)
    order, said, waits = [], [], threading.Event()

    def second() -> None:
        with turn(tmp_path, tmp_path / "plan.yaml"):
            order.append("second")

    with listen(lambda news: (said.append(news.text), waits.set())):
        with turn(tmp_path, tmp_path / "plan.yaml"):
            thread = threading.Thread(target=second)
            thread.start()
            assert waits.wait(10)
            order.append("first")
        thread.join(10)
    assert order == ["first", "second"]
    assert "waiting for its end" in said[0]


def test_by_hand_it_is_said_and_goes_on(started, tmp_path):
    """Somebody at a terminal is told that the two disturb each other."""
    started()
    said = []
    with (
        listen(lambda news: said.append(news.text)),
        turn(tmp_path, tmp_path / "plan.yaml"),
        turn(tmp_path, tmp_path / "plan.yaml"),
    ):
        pass
    assert len(said) == 1
    assert "disturb" in said[0]


def test_other_plans_do_not_wait(started, tmp_path):
    """Two plans, or two folders for results, have nothing to do with each other."""
    started(deployment_id=uuid4())
    with (
        turn(tmp_path, tmp_path / "plan.yaml"),
        turn(tmp_path, tmp_path / "other.yaml"),
        turn(tmp_path / "elsewhere", tmp_path / "plan.yaml"),
    ):
        pass


def test_a_folder_that_cannot_be_written(started, tmp_path):
    """It is told as such, before anything starts."""
    started()
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"), turn(tmp_path / "file", tmp_path / "plan.yaml"):
        pass
