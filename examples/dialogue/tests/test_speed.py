"""Speed, as ratios: what grows must not make it slow. The plan has the limits in milliseconds."""

import time

import pytest


def best(function, times=5):
    """The shortest of several: what the machine adds only makes it longer."""

    def once():
        begun = time.perf_counter()
        function()
        return time.perf_counter() - begun

    return min(once() for _ in range(times))


def furnish(store):
    for batch in range(10):
        store.add_all(f"furnished-{batch}", [("user", "hello", None) for _ in range(1000)])


@pytest.mark.parametrize("what", ["adds", "reads", "statistics"])
def test_a_full_store_is_not_slow(store, what):
    """With ten thousand messages more, nothing takes four times as long."""

    def adds():
        for number in range(25):
            store.add("own", "user", f"{number}")
        store.remove("own")

    def reads():
        for _ in range(25):
            store.cache.forget("small")
            store.history("small")

    def statistics():
        for _ in range(100):
            store.statistics()

    store.add("small", "user", "hello")
    work = {"adds": adds, "reads": reads, "statistics": statistics}[what]
    work()
    empty = best(work)
    furnish(store)
    assert best(work) < 4 * empty + 0.005


def test_a_batch_is_quicker_than_its_parts(store):
    """Two hundred messages in one transaction take less than in two hundred."""
    messages = [("user", "hello", None)] * 200

    def parts():
        for one in messages:
            store.add("parts", *one)

    parts()
    assert best(lambda: store.add_all("batch", messages), 3) < best(parts, 3)
