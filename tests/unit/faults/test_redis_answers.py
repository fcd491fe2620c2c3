"""What Redis tells of itself, read where the engine loses some of the answers."""

import pytest

from shakedown.errors import FaultError
from shakedown.faults.databases.inside import Answer, Inside
from shakedown.faults.databases.redis_cli import RedisCli

TOLD = Answer(0, "# Memory\r\nused_memory:1048576\r\nused_memory_human:1.00M\r\n")
NOTHING = Answer(0, "")


class Told(RedisCli):
    """Answers one after another; the last one for ever."""

    def __init__(self, *answers: Answer) -> None:
        Inside.__init__(self, None, "redis")  # no container
        self.answers = list(answers)

    def attempt(self, *words: str, limit: float = 8.0) -> Answer:  # noqa: ARG002 - as the real one
        assert words[0] == "INFO"
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@pytest.mark.parametrize("answers", [(TOLD,), (NOTHING, TOLD), (NOTHING, NOTHING, TOLD)])
def test_a_figure_is_asked_for_again_where_nothing_came(answers):
    """An answer that was lost is asked for anew."""
    assert Told(*answers).figure("memory", "used_memory") == 1048576


@pytest.mark.parametrize(
    "answer", [NOTHING, Answer(0, "used_memory_human:1.00M\r\n"), Answer(0, "used_memory:much\r\n")]
)
def test_a_figure_that_never_comes_is_an_error_of_the_fault(answer):
    """What the server does not tell is said to be so, and is no error of ours."""
    with pytest.raises(FaultError, match="does not tell used_memory"):
        Told(answer).figure("memory", "used_memory")


@pytest.mark.parametrize("answers", [(), (NOTHING,), (NOTHING, NOTHING)])
def test_the_version_is_asked_for_again_where_nothing_came(answers):
    """A version that was lost on the way is asked for anew; one of any form gives major and minor."""
    told = Answer(0, "# Server\r\nredis_version:7.0.15\r\n")
    assert Told(*answers, told).version() == (7, 0)
    assert Told(*answers, Answer(0, "redis_version:6.2-rc3\r\n")).version() == (6, 2)


def test_a_version_that_never_comes_is_an_error_of_the_fault():
    """A server that does not tell its version is no error of ours."""
    with pytest.raises(FaultError, match="does not tell redis_version"):
        Told(NOTHING).version()
