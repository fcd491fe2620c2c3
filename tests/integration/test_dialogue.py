"""Dialogue's loads call a store that holds, and find each mistake that is switched on in it: by their own checks, without a run."""

import json
import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.integration

# Each mistake, the functions of the plan's loads that find it, and words that they say.
FOUND = {
    "race": (("say", "task"), "the numbers have gaps, or stand twice"),
    "stale-cache": (("cached",), "read from the cache what was there before"),
    "unbounded-cache": (("fill",), "items in a cache of 500"),
    "mixed-sessions": (("session", "chat"), "not "),
    "cold-cache": (("look_up",), "hit rate"),
    "half-batch": (("work",), "of a batch that was refused 2 messages are there"),
    "cascade": (("a_fifth_wrong", "a_third_wrong"), "within a transaction"),
    "truncate": (("write_anything",), "characters came back of"),
}
VUS = {"say": 50, "task": 50, "cached": 25, "fill": 1, "session": 4, "chat": 8, "look_up": 20, "work": 23, "a_fifth_wrong": 5,
       "a_third_wrong": 5, "write_anything": 4}  # fmt: skip
ITERATIONS = {"fill": 1, "session": 2, "chat": 5, "look_up": 2, "say": 2, "task": 2, "work": 6, "write_anything": 25}
ATTEMPTS = 6
PROGRAM = """
import asyncio, inspect, json, random, sys, threading
sys.path.insert(0, "examples/dialogue/load")
import talk
from shakedown.user import User

errors = []

def one(function, vu, iterations):
    user = User(vu)
    for user.iteration in range(iterations):
        user.random = random.Random(vu * 1000 + user.iteration)
        try:
            made = function(user)
            if inspect.isawaitable(made):
                asyncio.run(made)
        except Exception as error:
            errors.append(f"{function.__name__}: {error}")

for name, vus, iterations in json.loads(sys.argv[1]):
    threads = [threading.Thread(target=one, args=(getattr(talk, name), vu, iterations)) for vu in range(vus)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
print(json.dumps(errors))
"""


def errors(mistake: str, names: tuple[str, ...], folder) -> list[str]:
    """What the loads' functions say, each called by as many threads as in the plan."""
    work = json.dumps([(name, VUS[name], ITERATIONS.get(name, 8)) for name in names])
    environment = {**os.environ, "DIALOGUE_DEFECTS": mistake, "DIALOGUE_FOLDER": str(folder)}
    done = subprocess.run(
        [sys.executable, "-B", "-c", PROGRAM, work],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def test_the_sound_store(tmp_path):
    """Nothing is found where nothing is wrong."""
    assert errors("", tuple(VUS), tmp_path) == []


@pytest.mark.parametrize("mistake", FOUND)
def test_a_mistake(mistake, tmp_path):
    """Each of the functions that look for it finds it, and says what is wrong."""
    names, words = FOUND[mistake]
    for attempt in range(ATTEMPTS):  # some are a matter of chance: of which thread comes first
        said = errors(mistake, names, tmp_path / str(attempt))
        if {one.partition(":")[0] for one in said} == set(names):
            break
    assert {one.partition(":")[0] for one in said} == set(names)
    assert any(words in one for one in said), said[:3]
