"""A suite in which each kind of trouble has a test, with a rate or a cause that is known: for the tests of the suites.

It is not collected with ours; `tests/integration/test_suites_trouble.py` and `benchmarks/suites.py` run it by its name.
TROUBLE names a folder outside of all its processes, in which each test's turns are counted; RACE is the race's rate.
"""

import ctypes
import fcntl
import os
import random
import time
from pathlib import Path

import pytest

HOME = Path(os.environ.get("TROUBLE", "."))
RATE = float(os.environ.get("RACE", "0.1"))
PART = os.environ.get("PART", "chance")  # which of the tests below are there

users = None
left_behind = []


def turn(name):
    """How often a test ran before, in any process."""
    with (HOME / f"{name}.turns").open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        before = len(file.read())
        file.write(".")
    return before


def loses(number):
    """Whether the race is lost at its turn: by a generator seeded with the turn, at the known rate."""
    return random.Random(f"lap {number}").random() < RATE


if os.environ.get("TROUBLE") and PART == "chance":
    users = (HOME / "users").open("a")
    fcntl.flock(users, fcntl.LOCK_SH)  # each process that has these tests holds it until it ends

    def test_race():
        assert not loses(turn("race")), "the race was lost"

    def test_leaves_something_behind():
        left_behind.append(1)

    def test_relies_on_it():
        assert left_behind, "nothing was left behind"

    def test_wants_to_be_alone():
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AssertionError("there are others") from None
        finally:
            fcntl.flock(users, fcntl.LOCK_SH)

    def test_never_works():
        assert left_behind is None

    def test_gets_slower():
        time.sleep(0.05 + 0.02 * turn("slower"))

    def test_good():
        pass

    @pytest.mark.skip(reason="not today")
    def test_skipped():
        pass


if os.environ.get("TROUBLE") and PART == "death":

    def test_exits():
        os._exit(3)

    def test_writes_where_nothing_is():
        if turn("segfault") % 2:
            ctypes.string_at(0)

    def test_hangs_at_times():
        if turn("hang") % 2:
            time.sleep(600)

    @pytest.mark.parametrize("number", range(4))
    def test_beside_them(number):
        time.sleep(0.01)


if os.environ.get("TROUBLE") and PART == "trouble":
    if turn("trouble") % 3 == 0:
        import a_module_that_nobody_has  # noqa: F401

    def test_what_can_be_collected():
        pass
