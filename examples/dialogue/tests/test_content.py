"""Any text is stored and read back identical."""

import random
import tempfile

import pytest

from dialogue import Store

hypothesis = pytest.importorskip("hypothesis")
from hypothesis import strategies as st  # noqa: E402

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=5000)


@pytest.fixture(scope="module")
def kept():
    with tempfile.TemporaryDirectory() as folder:
        store = Store(f"{folder}/content.db")
        yield store
        store.close()


@hypothesis.settings(max_examples=150, deadline=None, derandomize=True, database=None)
@hypothesis.given(text=TEXTS)
def test_any_text(kept, text):
    """Every text of every character that there is comes back as it went in, by id and in the history."""
    added = kept.add("any", "user", text)
    assert kept.message(added.id).text == text
    assert kept.history("any", last=1)[0].text == text
    kept.remove("any")


@hypothesis.settings(max_examples=60, deadline=None, derandomize=True, database=None)
@hypothesis.given(texts=st.lists(TEXTS, min_size=1, max_size=20))
def test_any_batch(kept, texts):
    """A batch of any texts keeps their order, and the books know its characters."""
    before = kept.statistics()["characters"]
    kept.add_all("batch", [("user", text, None) for text in texts])
    assert [one.text for one in kept.history("batch")] == texts
    assert kept.statistics()["characters"] - before == sum(map(len, texts))
    kept.remove("batch")
    assert kept.statistics()["characters"] == before


def test_lengths_as_they_are(kept):
    """Two hundred messages with lengths as people write them, 10 to 5000 characters, are all there."""
    rng = random.Random(7)
    texts = ["x" * min(max(int(rng.lognormvariate(4.4, 1.2)), 10), 5000) for _ in range(200)]
    kept.add_all("lengths", [("user", text, None) for text in texts])
    assert [len(one.text) for one in kept.history("lengths")] == [len(text) for text in texts]


@pytest.mark.parametrize("length", [1, 10, 4_001, 5_000, 20_000])
def test_lengths_at_the_edges(kept, length):
    """The shortest and the longest texts are stored whole."""
    assert kept.message(kept.add("edges", "user", "ü" * length).id).text == "ü" * length
