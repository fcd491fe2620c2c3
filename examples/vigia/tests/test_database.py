"""Cameras and events: what is stored is there, once, and whatever is refused leaves nothing."""

import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest


def add(api, camera, **more):
    """An event; the whole answer."""
    return api.post("/events", json={"camera": camera, "kind": "motion", **more})


# ------------------------------------------------------------------------------------------------------------- cameras
def test_a_new_camera(api, name):
    """201, and it is there."""
    camera = name("camera")
    answer = api.put(f"/cameras/{camera}", json={"place": "hall"})
    assert answer.status_code == 201
    assert api.get(f"/cameras/{camera}").json() == {**answer.json(), "place": "hall", "events": 0}


def test_get_or_create_gets(api, camera):
    """200 for one that is there, which stays as it is."""
    answer = api.put(f"/cameras/{camera}", json={"place": "roof"})
    assert (answer.status_code, answer.json()["place"]) == (200, "gate")


def test_get_or_create_by_many_at_once(api, name):
    """One of ten makes it; all of them get the same camera."""
    camera = name("camera")
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda _: api.put(f"/cameras/{camera}", json={}), range(10)))
    assert sorted(answer.status_code for answer in answers) == [200] * 9 + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1


def test_an_unknown_camera(api, name):
    """404."""
    assert api.get(f"/cameras/{name('camera')}").status_code == 404


def test_a_camera_moves(api, camera):
    """Its place changes, its id does not."""
    before = api.get(f"/cameras/{camera}").json()
    assert api.patch(f"/cameras/{camera}", json={"place": "roof"}).json()["place"] == "roof"
    assert api.get(f"/cameras/{camera}").json() == {**before, "place": "roof"}


def test_an_unknown_camera_cannot_move(api, name):
    """404."""
    assert api.patch(f"/cameras/{name('camera')}", json={"place": "roof"}).status_code == 404


def test_a_camera_is_removed(api, camera):
    """204, and it is gone; a second time it is not there."""
    assert [api.delete(f"/cameras/{camera}").status_code for _ in range(2)] == [204, 404]
    assert api.get(f"/cameras/{camera}").status_code == 404


def test_a_camera_with_events_stays(api, camera):
    """409 while somebody needs it."""
    add(api, camera)
    assert api.delete(f"/cameras/{camera}").status_code == 409
    assert api.get(f"/cameras/{camera}").status_code == 200


def test_a_camera_comes_again(api, camera):
    """A removed name makes another camera."""
    before = api.get(f"/cameras/{camera}").json()["id"]
    api.delete(f"/cameras/{camera}")
    assert api.put(f"/cameras/{camera}", json={}).json()["id"] != before


def test_cameras_by_prefix(api, name):
    """Those whose names begin so, by name."""
    prefix = name("row")
    for letter in "cab":
        api.put(f"/cameras/{prefix}-{letter}", json={})
    found = api.get("/cameras", params={"prefix": prefix}).json()
    assert [one["name"] for one in found] == [f"{prefix}-{letter}" for letter in "abc"]


def test_a_prefix_is_no_pattern(api, name):
    """`%` stands for itself."""
    prefix = name("row")
    api.put(f"/cameras/{prefix}", json={})
    assert api.get("/cameras", params={"prefix": prefix[:-2] + "%"}).json() == []


def test_few_of_many_cameras(api, name):
    """No more than were asked for."""
    prefix = name("row")
    for number in range(4):
        api.put(f"/cameras/{prefix}-{number}", json={})
    assert len(api.get("/cameras", params={"prefix": prefix, "limit": 3}).json()) == 3


@pytest.mark.parametrize("limit", ["101", "many"])
def test_a_wrong_limit(api, limit):
    """422."""
    assert api.get("/cameras", params={"limit": limit}).status_code == 422


@pytest.mark.parametrize("place", [5, "x" * 65, "a\x00b"], ids=["number", "long", "zero"])
def test_a_wrong_place(api, name, place):
    """422, and no camera is made."""
    camera = name("camera")
    assert api.put(f"/cameras/{camera}", json={"place": place}).status_code == 422
    assert api.get(f"/cameras/{camera}").status_code == 404


# -------------------------------------------------------------------------------------------------------------- events
def test_an_event_is_there(api, camera):
    """201, and it is as it was sent."""
    answer = add(api, camera, note="a badger", at="2026-02-03T04:05:06+00:00")
    assert answer.status_code == 201
    found = api.get(f"/events/{answer.json()['id']}").json()
    assert (found["camera"], found["kind"], found["note"], found["at"]) == (
        camera, "motion", "a badger", "2026-02-03T04:05:06+00:00",
    )  # fmt: skip


def test_an_event_twice(api, camera):
    """200 the second time, and it is there once."""
    own = str(uuid.uuid4())
    assert [add(api, camera, id=own).status_code for _ in range(2)] == [201, 200]
    assert api.get(f"/cameras/{camera}").json()["events"] == 1


def test_an_event_by_many_at_once(api, camera):
    """One of eight stores it."""
    own = str(uuid.uuid4())
    with ThreadPoolExecutor(8) as pool:
        codes = list(pool.map(lambda _: add(api, camera, id=own).status_code, range(8)))
    assert sorted(codes) == [200] * 7 + [201]


def test_an_event_of_no_camera(api, name):
    """404, and nothing is made."""
    camera = name("camera")
    assert add(api, camera).status_code == 404
    assert api.get(f"/cameras/{camera}").status_code == 404


@pytest.mark.parametrize("wrong", [{"kind": None}, {"id": "seven"}, {"at": "noon"}, {"at": "2026-02-03T04:05:06"}],
                         ids=["kind", "id", "time", "no zone"])  # fmt: skip
def test_a_wrong_event(api, camera, wrong):
    """422, and it is not there."""
    assert add(api, camera, **wrong).status_code == 422
    assert api.get(f"/cameras/{camera}").json()["events"] == 0


def test_events_newest_first(api, camera):
    """A camera's events in the opposite order of their coming."""
    ids = [add(api, camera).json()["id"] for _ in range(5)]
    found = api.get("/events", params={"camera": camera}).json()
    assert [one["id"] for one in found] == ids[::-1]


def test_events_page_by_page(api, camera):
    """Pages follow each other without a gap, also when more events come in between."""
    ids = [add(api, camera).json()["id"] for _ in range(7)]
    page, seen = api.get("/events", params={"camera": camera, "limit": 3}).json(), []
    while page:
        seen += [one["id"] for one in page]
        add(api, camera)
        page = api.get("/events", params={"camera": camera, "limit": 3, "before": page[-1]["seq"]}).json()
    assert seen == ids[::-1]


def test_events_of_one_kind(api, camera):
    """Only those."""
    for kind in ("motion", "door", "motion"):
        add(api, camera, kind=kind)
    found = api.get("/events", params={"camera": camera, "kind": "door"}).json()
    assert [one["kind"] for one in found] == ["door"]


def test_an_event_is_removed(api, camera):
    """204, and it is gone."""
    event = add(api, camera).json()["id"]
    assert api.delete(f"/events/{event}").status_code == 204
    assert api.get(f"/events/{event}").status_code == 404
    assert api.get(f"/cameras/{camera}").json()["events"] == 0


def test_a_batch(api, camera):
    """All of them, in their order."""
    sent = [{"camera": camera, "kind": "sound", "note": str(number)} for number in range(20)]
    answer = api.post("/events/batch", json=sent)
    assert (answer.status_code, answer.json()["new"]) == (201, 20)
    found = api.get("/events", params={"camera": camera, "limit": 100}).json()
    assert [one["note"] for one in found] == [str(number) for number in range(19, -1, -1)]


def test_half_a_batch(api, camera, name):
    """One event of no camera, and none of them is stored."""
    sent = [{"camera": camera, "kind": "sound"}, {"camera": name("nobody"), "kind": "sound"}]
    assert api.post("/events/batch", json=sent).status_code == 404
    assert api.get(f"/cameras/{camera}").json()["events"] == 0


def test_many_writers(api, camera):
    """Eight writers with five events each: forty events."""
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: [add(api, camera) for _ in range(5)], range(8)))
    assert api.get(f"/cameras/{camera}").json()["events"] == 40
