"""The database: whole or not at all, and the books are right."""

import pytest

from dialogue import Invalid

BAD = ("user", "", None)


def test_five_readers_and_five_writers(store, at_once):
    """Readers see whole batches alone, while writers write them."""

    def work(thread):
        for _ in range(10):
            if thread < 5:
                store.add_all("shared", [("user", f"{thread}", None)] * 4)
            else:
                assert len(store.history("shared")) % 4 == 0

    at_once(work, range(10))
    assert len(store.history("shared")) == 200


def test_three_batch_writers(store, at_once):
    """Batches do not mix: each stands together."""
    at_once(lambda writer: [store.add_all("shared", [("user", f"{writer}", None)] * 7) for _ in range(5)], range(3))
    texts = [one.text for one in store.history("shared")]
    assert len(texts) == 105
    assert all(len(set(texts[start : start + 7])) == 1 for start in range(0, 105, 7))


def test_ten_users_writing(store, at_once):
    """Statistics and count agree after many wrote at once."""
    at_once(lambda user: [store.add(f"u{user}", "user", "hello") for _ in range(10)], range(10))
    assert store.statistics()["messages"] == store.counted() == 100
    assert store.statistics()["characters"] == 500


@pytest.mark.parametrize("place", [0, 1, 4])
def test_a_wrong_batch_leaves_nothing(store, place):
    """Whichever of five messages is wrong: none of them is stored, and the books show none."""
    store.add("session", "user", "before")
    batch = [("user", f"{number}", None) for number in range(4)]
    with pytest.raises(Invalid):
        store.add_all("session", [*batch[:place], BAD, *batch[place:]])
    assert [one.text for one in store.history("session")] == ["before"]
    assert store.statistics()["messages"] == store.counted() == 1


def test_an_empty_batch(store):
    """Nothing to store is no mistake."""
    assert store.add_all("session", []) == []


def test_a_message_by_its_id(store):
    """Found under the id that it was given; an unknown one is None."""
    added = store.add("session", "user", "hello", "my-id")
    assert store.message("my-id") == added
    assert store.message("other") is None
