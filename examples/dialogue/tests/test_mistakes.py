"""Mistakes of callers: refused in words, and nobody else notices."""

import random

import pytest

from dialogue import Invalid

WRONG = [
    ("c", "nobody", "hello"), ("c", "user", ""), ("c", "user", None), ("c", "user", 5), ("c", "user", "x" * 20_001),
    ("", "user", "hello"), (None, "user", "hello"), ("x" * 201, "user", "hello"), ("c", "user", "half \ud83d"), ("\udc00", "user", "hello"),
]  # fmt: skip


@pytest.mark.parametrize(("conversation", "role", "text"), WRONG)
def test_refused_in_words(store, conversation, role, text):
    """What cannot be stored is refused, says why, and leaves nothing."""
    with pytest.raises(Invalid, match="."):
        store.add(conversation, role, text)
    assert store.counted() == 0
    assert store.add("c", "user", "hello").number == 1


@pytest.mark.parametrize("share", [0.2, 0.33])
def test_mixed_in(store, at_once, share):
    """With a share of wrong calls among good ones by eight threads, every good one is stored."""

    def work(thread):
        rng, good = random.Random(thread), 0
        for _ in range(30):
            if rng.random() < share:
                with pytest.raises(Invalid):
                    store.add("shared", *rng.choice([("nobody", "hello"), ("user", "")]))
            else:
                store.add("shared", "user", f"{thread}")
                good += 1
        return good

    assert len(store.history("shared")) == 0
    assert sum(at_once(work, range(8))) == len(store.history("shared")) == store.counted()


def test_a_caller_that_fails_in_the_middle(store):
    """A batch whose source fails half-way leaves nothing, and the next call works."""

    def source():
        yield ("user", "first", None)
        raise KeyError("the caller's own mistake")

    with pytest.raises(KeyError):
        store.add_all("session", source())
    assert store.history("session") == ()
    assert store.add("session", "user", "hello").number == 1
