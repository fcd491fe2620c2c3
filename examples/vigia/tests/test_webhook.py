"""The webhook server: who is believed, what is taken, what comes twice."""

import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest


@pytest.fixture
def event(name):
    """An event as a camera sends it."""
    return {"camera": name("hook"), "kind": "motion", "note": "a fox"}


# --------------------------------------------------------------------------------------------------- who is believed
def test_a_signed_delivery_is_taken(deliver, event):
    """202, with the ids of delivery and event."""
    answer = deliver(event)
    assert answer.status_code == 202
    assert set(answer.json()) == {"delivery", "event"}


@pytest.mark.parametrize("source", ["gate", "hall", "yard"])
def test_each_source_has_its_key(deliver, event, source):
    """Every source that is known delivers with its own key."""
    assert deliver(event, source=source).status_code == 202


def test_an_unknown_source(deliver, event):
    """Nobody delivers from a source that is not known."""
    assert deliver(event, source="moon").status_code == 404


@pytest.mark.parametrize("signature", ["", "sha256=" + "0" * 64, "md5=" + "0" * 32], ids=["empty", "zeros", "md5"])
def test_a_wrong_signature(deliver, event, signature):
    """401, whatever stands there."""
    assert deliver(event, signature=signature).status_code == 401


def test_a_missing_signature(webhook, event):
    """401 without any."""
    answer = webhook.post("/webhooks/gate", json=event, headers={"X-Delivery": str(uuid.uuid4())})
    assert answer.status_code == 401


def test_a_signature_of_another_source(deliver, event):
    """The hall's key opens no gate."""
    taken = deliver(event, source="hall")
    signature = taken.request.headers["X-Signature"]
    delivery = taken.request.headers["X-Delivery"]
    assert deliver(event, source="gate", delivery=delivery, signature=signature).status_code == 401


def test_a_signature_of_another_delivery(deliver, event):
    """A body cannot be sent again under another id."""
    signature = deliver(event).request.headers["X-Signature"]
    assert deliver(event, signature=signature).status_code == 401


def test_a_changed_body(deliver, event):
    """A signature is of one body."""
    taken = deliver(event)
    delivery, signature = taken.request.headers["X-Delivery"], taken.request.headers["X-Signature"]
    assert deliver({**event, "note": "a wolf"}, delivery=delivery, signature=signature).status_code == 401


def test_a_refused_delivery_leaves_nothing(deliver, webhook, api, event):
    """Neither delivery nor camera is there afterwards."""
    delivery = str(uuid.uuid4())
    assert deliver(event, delivery=delivery, signature="sha256=wrong").status_code == 401
    assert webhook.get(f"/deliveries/{delivery}").status_code == 404
    assert api.get(f"/cameras/{event['camera']}").status_code == 404


# ------------------------------------------------------------------------------------------------------ what is taken
def test_what_was_taken_is_there(deliver, api, event):
    """The event is stored as it was sent when the answer comes."""
    found = api.get(f"/events/{deliver(event).json()['event']}").json()
    assert {key: found[key] for key in event} == event


def test_the_delivery_knows_its_event(deliver, webhook, event):
    """A delivery can be looked up."""
    taken = deliver(event, source="yard").json()
    found = webhook.get(f"/deliveries/{taken['delivery']}").json()
    assert found == {"id": taken["delivery"], "source": "yard", "event": taken["event"], "note": "a fox"}


def test_a_new_camera_is_made(deliver, api, event):
    """A camera that nobody knew is there after its first delivery."""
    deliver(event)
    assert api.get(f"/cameras/{event['camera']}").json()["events"] == 1


def test_a_known_camera_stays(deliver, api, camera):
    """A camera that is there keeps its place."""
    assert deliver({"camera": camera, "kind": "door"}).status_code == 202
    found = api.get(f"/cameras/{camera}").json()
    assert (found["place"], found["events"]) == ("gate", 1)


def test_an_event_with_an_id(deliver, event):
    """A camera may give the id."""
    own = str(uuid.uuid4())
    assert deliver({**event, "id": own}).json()["event"] == own


def test_a_time_of_its_own(deliver, api, event):
    """A camera's own time is kept, in UTC."""
    taken = deliver({**event, "at": "2026-03-01T12:00:00+02:00"}).json()
    assert api.get(f"/events/{taken['event']}").json()["at"] == "2026-03-01T10:00:00+00:00"


def test_any_alphabet(deliver, api, event):
    """Whatever a note says comes back."""
    note = "Füchse, лисы, 狐 🦊 '\"; -- %s"
    assert api.get(f"/events/{deliver({**event, 'note': note}).json()['event']}").json()["note"] == note


@pytest.mark.parametrize("body", [b"", b"\xff{"], ids=["empty", "no text"])
def test_no_json(deliver, body):
    """400 for what is no JSON, although it is signed."""
    assert deliver(body=body).status_code == 400


@pytest.mark.parametrize(
    "change", [{"kind": "party"}, {"camera": 7}, {"note": "x" * 501}, {"colour": "red"}],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
def test_a_wrong_event(deliver, event, change):
    """422 for what is no event, although it is signed."""
    assert deliver({**event, **change}).status_code == 422


def test_too_large(deliver):
    """413 beyond 64 kB."""
    assert deliver(body=b" " * 70_000).status_code == 413


def test_no_delivery_id(deliver, event):
    """400 without an id by which a second attempt could be known."""
    assert deliver(event, delivery="short").status_code == 400


# ---------------------------------------------------------------------------------------------------- what comes twice
def test_the_same_delivery_twice(deliver, api, event):
    """200 with the same event, which is there once."""
    delivery = str(uuid.uuid4())
    first, second = deliver(event, delivery=delivery), deliver(event, delivery=delivery)
    assert (first.status_code, second.status_code) == (202, 200)
    assert first.json() == second.json()
    assert api.get(f"/cameras/{event['camera']}").json()["events"] == 1


def test_the_same_delivery_many_times_at_once(deliver, api, event):
    """One of eight is new; all get the same answer."""
    delivery = str(uuid.uuid4())
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: deliver(event, delivery=delivery), range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [202]
    assert len({answer.json()["event"] for answer in answers}) == 1
    assert api.get(f"/cameras/{event['camera']}").json()["events"] == 1


def test_one_event_in_two_deliveries(deliver, api, event):
    """An event with an id is there once, however often it is delivered."""
    event["id"] = str(uuid.uuid4())
    assert [deliver(event).status_code for _ in range(2)] == [202, 202]
    assert api.get(f"/cameras/{event['camera']}").json()["events"] == 1


def test_another_event_under_a_known_id(deliver, event):
    """409 when the id is another event's."""
    event["id"] = str(uuid.uuid4())
    deliver(event)
    assert deliver({**event, "note": "a wolf"}).status_code == 409


def test_a_delivery_of_another_source(deliver, event):
    """409 when another source used the id."""
    delivery = str(uuid.uuid4())
    deliver(event, source="gate", delivery=delivery)
    assert deliver(event, source="hall", delivery=delivery).status_code == 409


def test_many_cameras_at_once(deliver, api, name):
    """Twelve deliveries for one new camera at once are twelve events of one camera."""
    camera = name("hook")
    with ThreadPoolExecutor(12) as pool:
        codes = list(
            pool.map(lambda at: deliver({"camera": camera, "kind": "sound", "note": str(at)}).status_code, range(12))
        )
    assert codes == [202] * 12
    assert api.get(f"/cameras/{camera}").json()["events"] == 12


def test_health_of_the_webhook_server(webhook):
    """It is well, and says so."""
    assert webhook.get("/health").json() == {"status": "ok"}
