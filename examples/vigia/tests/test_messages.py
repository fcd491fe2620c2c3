"""Messages: everybody gets theirs, once, in order, numbered without a gap."""

from concurrent.futures import ThreadPoolExecutor

import pytest


@pytest.fixture
def who(name):
    """Somebody who was never told anything."""
    return name("who")


def tell(api, who, key, text="hello"):
    """A message; the whole answer."""
    return api.post("/messages", json={"recipient": who, "key": key, "text": text})


def inbox(api, who, **query):
    """What somebody was told."""
    return api.get(f"/inboxes/{who}", params=query).json()


def test_a_message(api, who):
    """It is in the inbox, as number 1."""
    assert tell(api, who, "a", "the gate is open").json() == {"number": 1}
    assert inbox(api, who) == [{"number": 1, "key": "a", "text": "the gate is open"}]


def test_an_empty_inbox(api, who):
    """Who was told nothing has an empty inbox."""
    assert inbox(api, who) == []
    assert api.get(f"/inboxes/{who}/unread").json() == {"unread": 0}


def test_messages_in_their_order(api, who):
    """Numbered from 1, as they came."""
    for key in "abcde":
        tell(api, who, key)
    assert [(one["number"], one["key"]) for one in inbox(api, who)] == list(enumerate("abcde", 1))


def test_the_same_message_twice(api, who):
    """200 with the same number, and it is there once."""
    first, second = tell(api, who, "a"), tell(api, who, "a")
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json() == second.json()
    assert len(inbox(api, who)) == 1


def test_the_same_key_of_two(api, name):
    """A key is one recipient's own."""
    one, two = name("who"), name("who")
    assert [tell(api, who, "a").status_code for who in (one, two)] == [201, 201]


def test_no_gap_with_many_at_once(api, who):
    """Twelve at once: numbers 1 to 12, each once."""
    with ThreadPoolExecutor(12) as pool:
        numbers = list(pool.map(lambda at: tell(api, who, f"k{at}").json()["number"], range(12)))
    assert sorted(numbers) == list(range(1, 13))


def test_a_message_many_times_at_once(api, who):
    """Eight times the same at once is one message."""
    with ThreadPoolExecutor(8) as pool:
        codes = list(pool.map(lambda _: tell(api, who, "a").status_code, range(8)))
    assert sorted(codes) == [200] * 7 + [201]
    assert len(inbox(api, who)) == 1


def test_only_what_is_new(api, who):
    """After a number, what came after it."""
    for key in "abc":
        tell(api, who, key)
    assert [one["key"] for one in inbox(api, who, after=1)] == ["b", "c"]


def test_some_of_it(api, who):
    """No more than were asked for, from the beginning."""
    for key in "abc":
        tell(api, who, key)
    assert [one["key"] for one in inbox(api, who, limit=2)] == ["a", "b"]


def test_unread(api, who):
    """What was not marked is unread."""
    for key in "abc":
        tell(api, who, key)
    assert api.get(f"/inboxes/{who}/unread").json() == {"unread": 3}


def test_read(api, who):
    """Everything up to a number is read."""
    for key in "abc":
        tell(api, who, key)
    assert api.post(f"/inboxes/{who}/read", json={"up_to": 2}).json() == {"unread": 1}


def test_read_never_goes_back(api, who):
    """A smaller number later changes nothing."""
    for key in "abc":
        tell(api, who, key)
    for up_to in (3, 1):
        assert api.post(f"/inboxes/{who}/read", json={"up_to": up_to}).json() == {"unread": 0}


def test_what_never_came_cannot_be_read(api, who):
    """404 beyond the last number."""
    tell(api, who, "a")
    assert api.post(f"/inboxes/{who}/read", json={"up_to": 2}).status_code == 404


@pytest.mark.parametrize("wrong", [{"text": ""}, {"key": None}, {"text": "x" * 2001}], ids=["empty", "no key", "long"])
def test_a_wrong_message(api, who, wrong):
    """422, and the inbox stays empty."""
    assert api.post("/messages", json={"recipient": who, "key": "a", "text": "b", **wrong}).status_code == 422
    assert inbox(api, who) == []


def test_a_broadcast(api, name):
    """Everybody gets it once, also who is named twice."""
    many = [name("who") for _ in range(6)]
    answer = api.post("/messages", json={"recipients": [*many, many[0]], "key": "a", "text": "all"})
    assert answer.json() == {"told": 6}
    assert all(len(inbox(api, who)) == 1 for who in many)


def test_broadcasts_across_each_other(api, name):
    """Ten at once, to the same people in opposite orders: everybody has all ten."""
    many = [name("who") for _ in range(5)]
    with ThreadPoolExecutor(10) as pool:
        codes = list(pool.map(
            lambda at: api.post(
                "/messages", json={"recipients": many[:: 1 if at % 2 else -1], "key": f"k{at}", "text": "x"}
            ).status_code, range(10),
        ))  # fmt: skip
    assert codes == [201] * 10
    assert [len(inbox(api, who)) for who in many] == [10] * 5


def test_a_wrong_broadcast_tells_nobody(api, who):
    """422 when one name is none, and nobody was told."""
    assert api.post("/messages", json={"recipients": [who, ""], "key": "a", "text": "b"}).status_code == 422
    assert inbox(api, who) == []


def test_who_asked_is_told(api, who, camera):
    """An event of a camera is a message to its subscribers, in the same moment."""
    assert api.put(f"/subscriptions/{who}/{camera}").status_code == 201
    event = api.post("/events", json={"camera": camera, "kind": "door"}).json()
    assert event["told"] == 1
    assert inbox(api, who) == [{"number": 1, "key": event["id"], "text": f"{camera}: door"}]


def test_who_asked_no_more_is_not_told(api, who, camera):
    """After the subscription ended nothing comes."""
    api.put(f"/subscriptions/{who}/{camera}")
    assert [api.delete(f"/subscriptions/{who}/{camera}").status_code for _ in range(2)] == [204, 404]
    assert api.post("/events", json={"camera": camera, "kind": "door"}).json()["told"] == 0


def test_a_delivery_tells(api, who, camera, deliver):
    """What a camera delivers reaches whoever asked, once, although it was delivered twice."""
    api.put(f"/subscriptions/{who}/{camera}")
    for _ in range(2):
        assert deliver({"camera": camera, "kind": "motion"}, delivery=f"delivery-{camera}").status_code in (200, 202)
    assert [one["text"] for one in inbox(api, who)] == [f"{camera}: motion"]
