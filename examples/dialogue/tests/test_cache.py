"""The cache: bounded, never old, and worth having."""

import time

import pytest

from dialogue.cache import Cache


def test_it_is_bounded(store):
    """More conversations than fit: the ones used longest ago go."""
    for number in range(600):
        store.history(f"c{number}")
    assert len(store.cache) == 500
    hits = store.cache.hits
    store.history("c599")
    store.history("c0")
    assert (store.cache.hits - hits, len(store.cache)) == (1, 500)


def test_fifteen_workers(store, at_once):
    """Fifteen workers read and write twenty times each: nobody reads what is old."""

    def work(worker):
        for number in range(20):
            added = store.add(f"c{number % 3}", "user", f"{worker}")
            assert added in store.history(f"c{number % 3}")

    at_once(work, range(15))
    assert sum(len(store.history(f"c{number}")) for number in range(3)) == 300


def test_ten_writers(store, at_once):
    """Ten write to the conversation that others read: what is read only grows."""

    def work(worker):
        last = 0
        for _ in range(20):
            if worker < 10:
                store.add("busy", "user", "hello")
            now = len(store.history("busy"))
            assert now >= last
            last = now

    at_once(work, range(20))
    assert len(store.history("busy")) == 200


def test_what_was_read_before_a_write_is_not_kept():
    """A value that was read before somebody wrote does not get into the cache after it."""
    cache = Cache(10)
    _, version = cache.get("a")
    cache.forget("a")
    cache.put("a", "old", version)
    assert cache.get("a")[0] is None


def test_another_key_is_not_affected():
    """A write to one key lets the others be."""
    cache = Cache(10)
    _, version = cache.get("a")
    cache.put("b", "kept", version)
    cache.forget("c")
    cache.put("a", "read before", version)
    assert (cache.get("a")[0], cache.get("b")[0]) == ("read before", "kept")


def test_everything_forgotten_is_not_put_back():
    """After somebody else wrote, nothing that was read before gets in."""
    cache = Cache(10)
    _, version = cache.get("a")
    cache.forget_all()
    cache.put("a", "old", version)
    assert cache.get("a")[0] is None
    _, version = cache.get("a")
    cache.put("a", "new", version)
    assert cache.get("a")[0] == "new"


def test_its_memory_of_writes_is_bounded():
    """Writes to ever new keys do not make it grow."""
    cache = Cache(5)
    _, version = cache.get("a")
    for number in range(1000):
        cache.forget(f"k{number}")
    assert len(cache._written) <= 21
    cache.put("a", "perhaps old", version)  # nobody knows any more: taken for old
    assert cache.get("a")[0] is None


@pytest.mark.parametrize(("keys", "asked", "least"), [(20, 1000, 0.97), (10, 400, 0.97), (500, 20_000, 0.97)])
def test_repeated_keys_are_found(store, keys, asked, least):
    """Of many look-ups of few keys nearly all are hits."""
    for number in range(asked):
        store.history(f"c{number % keys}")
    assert store.cache.hit_rate >= least


def test_hits_among_writes(store):
    """A write costs the look-up of what was written to, and no other."""
    for number in range(1000):
        store.history(f"c{number % 20}")
        if number % 50 == 0:
            store.add("c0", "user", "hello")
    assert store.cache.hit_rate >= 0.95


def test_a_hit_is_quicker_than_a_look_into_the_file(store):
    """What is kept is found in less time than what is not: that is what it is for."""
    store.add_all("long", [("user", "hello " * 20, None) for _ in range(400)])

    def took(times, *, cold):
        begun = time.perf_counter()
        for _ in range(times):
            if cold:
                store.cache.forget("long")
            store.history("long")
        return time.perf_counter() - begun

    took(5, cold=True)
    assert took(50, cold=False) < took(50, cold=True) / 3
