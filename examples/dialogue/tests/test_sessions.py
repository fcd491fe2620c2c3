"""Long sessions: whole, isolated, in every alphabet."""

import pytest


@pytest.mark.parametrize("turns", [10, 18, 40])
def test_turns(store, turns):
    """After so many turns the session is whole, in its order."""
    said = []
    for turn in range(turns):
        for role in ("user", "assistant"):
            store.add("session", role, f"{role} {turn}")
            said.append((role, f"{role} {turn}"))
    assert [(one.role, one.text) for one in store.history("session")] == said


@pytest.mark.parametrize("last", [0, 1, 5, 20, 100])
def test_the_last_ones(store, last):
    """The last messages are the end of the history."""
    for number in range(20):
        store.add("session", "user", f"{number}")
    assert [one.text for one in store.history("session", last=last)] == [str(n) for n in range(20)][
        20 - min(last, 20) :
    ]


def test_eight_users(store, at_once):
    """Eight users with eight messages each: nobody has another's."""

    def talk(user):
        for number in range(8):
            store.add(f"user-{user}", "user", f"{user}:{number}")

    at_once(talk, range(8))
    for user in range(8):
        assert [one.text for one in store.history(f"user-{user}")] == [f"{user}:{number}" for number in range(8)]


@pytest.mark.parametrize(
    "text",
    [
        "grüße",
        "東京の天気",
        "שלום",
        "مرحبا بالعالم",
        "👩‍👩‍👧‍👦 🚚 🇩🇪",
        "e\u0301 is not \u00e9",
        "\u202eright to left",
        " blanks around \n",
    ],
)
def test_alphabets(store, text):
    """What comes back is what was said, character by character."""
    store.add("session", "user", text)
    assert store.history("session")[0].text == text


def test_a_session_survives_the_program(store, tmp_path):
    """Another store on the same file has the same session."""
    from dialogue import Store

    added = store.add("session", "user", "hello")
    store.close()
    again = Store(tmp_path / "dialogue.db")
    assert again.history("session") == (added,)
    again.close()


def test_a_removed_session_is_gone(store):
    """Nothing of it is left, not in the cache either, and the others stay."""
    store.add("a", "user", "hello")
    store.add("b", "user", "hello")
    store.history("a")
    assert store.remove("a") == 1
    assert store.history("a") == ()
    assert store.statistics()["messages"] == store.counted() == 1
