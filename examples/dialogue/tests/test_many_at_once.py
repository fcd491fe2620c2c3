"""Many users of one store, by threads and by asyncio."""

import asyncio
import multiprocessing
import sys
from pathlib import Path

import pytest

from dialogue import Store


def numbers(messages):
    return [one.number for one in messages]


def test_fifty_users_with_two_messages(store, at_once):
    """All messages are there, each user's in the order in which they were sent."""

    def talk(user):
        for text in ("first", "second"):
            store.add(f"user-{user}", "user", text)

    at_once(talk, range(50))
    assert store.statistics()["messages"] == 100
    for user in range(50):
        assert [(one.number, one.text) for one in store.history(f"user-{user}")] == [(1, "first"), (2, "second")]


def test_fifty_users_in_one_conversation(store, at_once):
    """Numbers have no gap and none stands twice, whoever wrote."""
    at_once(lambda user: [store.add("shared", "user", f"{user}-{number}") for number in range(4)], range(50))
    found = store.history("shared")
    assert numbers(found) == list(range(1, 201))
    for user in range(50):
        own = [one.text for one in found if one.text.startswith(f"{user}-")]
        assert own == [f"{user}-{number}" for number in range(4)]


def test_twenty_readers(store, at_once):
    """All readers see the same, while nobody writes."""
    store.add_all("shared", [("user", f"message {number}", None) for number in range(30)])
    seen = at_once(lambda _: store.history("shared"), range(20))
    assert len(set(seen)) == 1
    assert numbers(seen[0]) == list(range(1, 31))


def test_twelve_mixed_threads(store, at_once):
    """Who reads while others write sees a history that only grows."""

    def work(thread):
        seen = []
        for number in range(15):
            if thread % 3 == 0:
                store.add("shared", "user", f"{thread}-{number}")
            now = store.history("shared")
            assert now[: len(seen)] == tuple(seen)
            seen = list(now)

    at_once(work, range(12))
    assert numbers(store.history("shared")) == list(range(1, 61))


def test_fifty_tasks(store):
    """Tasks of asyncio lose nothing, and the loop is never held up."""

    async def task(number):
        await store.add_async("shared", "user", f"task {number}")
        return await store.history_async("shared")

    async def everything():
        return await asyncio.gather(*(task(number) for number in range(50)))

    asyncio.run(everything())
    assert {one.text for one in store.history("shared")} == {f"task {number}" for number in range(50)}
    assert numbers(store.history("shared")) == list(range(1, 51))


def test_threads_and_tasks_together(store, at_once):
    """Both ways into the same store."""

    async def tasks():
        await asyncio.gather(*(store.add_async("shared", "assistant", f"task {number}") for number in range(20)))

    at_once(lambda number: asyncio.run(tasks()) if number == 0 else store.add("shared", "user", "hello"), range(11))
    assert numbers(store.history("shared")) == list(range(1, 31))


@pytest.mark.parametrize("threads", [2, 8, 32])
def test_who_wrote_reads_it(store, at_once, threads):
    """Whoever stored a message finds it in the history that is read next."""

    def work(thread):
        for _ in range(10):
            assert store.add("shared", "user", f"by {thread}") in store.history("shared")

    at_once(work, range(threads))


def _write(path: str, app: str, number: int) -> None:
    sys.path.insert(0, app)
    from dialogue import Store as Mine

    mine = Mine(path)
    for _ in range(20):
        mine.add("shared", "user", f"process {number}")
    mine.close()


def test_another_process_writes(store, tmp_path):
    """What another process wrote is seen, although the history was in the cache; numbers stay whole."""
    store.add("shared", "user", "here")
    assert len(store.history("shared")) == 1
    app = str(Path(__file__).parents[1] / "app")
    context = multiprocessing.get_context("spawn")
    others = [context.Process(target=_write, args=(str(tmp_path / "dialogue.db"), app, n)) for n in range(2)]
    for other in others:
        other.start()
    for other in others:
        other.join(60)
    assert numbers(store.history("shared")) == list(range(1, 42))


def test_two_stores_on_one_file(store, tmp_path):
    """Each sees at once what the other stored."""
    other = Store(tmp_path / "dialogue.db")
    for number in range(10):
        writer, reader = (store, other) if number % 2 else (other, store)
        writer.add("shared", "user", "hello")
        assert len(reader.history("shared")) == number + 1
    other.close()
