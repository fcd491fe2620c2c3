"""What needs more than requests: work on the database, work on pictures."""

import http.client
import json
import os
import random
import struct
import time
import uuid
import zlib

from shakedown.user import User

WIDTH, HEIGHT = 480, 360


def connect(user: User) -> None:
    """A connection that is kept."""
    user.state.connection = http.client.HTTPConnection(str(user.host), user.port, timeout=30)


def leave(user: User) -> None:
    """Close it."""
    user.state.connection.close()


def ask(user: User, method: str, path: str, body: object = None, **headers: str) -> tuple[int, bytes]:
    """Status and body of an answer."""
    connection: http.client.HTTPConnection = user.state.connection
    sent = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    try:
        connection.request(method, path, sent, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except BaseException:
        connection.close()  # the next request opens it anew
        raise


def expect(wanted: tuple[int, ...], answer: tuple[int, bytes]) -> bytes:
    """The body of an answer of one of these statuses."""
    assert answer[0] in wanted, f"answered with {answer[0]}: {answer[1][:200]!r}"
    return answer[1]


# ------------------------------------------------------------------------------------------------------------ V06
def work(user: User) -> None:
    """A camera that others want at the same moment, an event of it, and its newest events."""
    camera = f"work-{os.getppid()}-{int(time.monotonic() * 5)}"  # another one five times a second, for all of them
    with user.measure("get_or_create"):
        made = json.loads(expect((200, 201), ask(user, "PUT", f"/cameras/{camera}", {"place": "square"})))
        assert made["name"] == camera, f"asked for {camera}, got {made['name']}"
    event, note = str(uuid.uuid4()), f"{user.vu} {user.iteration}"
    with user.measure("insert"):
        expect((201,), ask(user, "POST", "/events", {"id": event, "camera": camera, "kind": "sound", "note": note}))
    with user.measure("query"):
        found = json.loads(expect((200,), ask(user, "GET", f"/events?camera={camera}&limit=100")))
        assert all(one["camera"] == camera for one in found), "events of other cameras"
        assert len(found) == 100 or (event, note) in [(one["id"], one["note"]) for one in found], (
            "what was stored is not there"
        )


def look(user: User) -> None:
    """The newest events of one camera that has two hundred: what is compared with earlier runs."""
    with user.measure("look"):
        found = json.loads(expect((200,), ask(user, "GET", f"/events?camera={user.state.camera}&limit=100")))
        assert len(found) == 100, f"{len(found)} of 100 events"


def furnish(user: User) -> None:
    """A camera with two hundred events, beside the connection."""
    connect(user)
    user.state.camera = f"known-{uuid.uuid4().hex[:12]}"
    expect((201,), ask(user, "PUT", f"/cameras/{user.state.camera}", {}))
    for _ in range(2):
        events = [{"camera": user.state.camera, "kind": "door", "note": str(number)} for number in range(100)]
        expect((201,), ask(user, "POST", "/events/batch", events))


# ------------------------------------------------------------------------------------------------------------ V07
def paint(user: User) -> None:
    """What all pictures of a user have in common, beside the connection: to make each anew would be work of our own."""
    connect(user)
    line = random.randbytes(WIDTH * 3)
    user.state.rows = b"".join(b"\0" + line[3 * shift :] + line[: 3 * shift] for shift in range(HEIGHT))


def _picture(rows: bytes) -> bytes:
    """A PNG that nobody has seen before: the first pixels differ."""
    own = b"\0" + uuid.uuid4().bytes + rows[17:]
    head = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in ((b"IHDR", head), (b"IDAT", zlib.compress(own, 0)), (b"IEND", b""))
    )


def pictures(user: User) -> None:
    """A picture is kept, turned, made small, and removed."""
    sent = _picture(user.state.rows)
    with user.measure("keep"):
        kept = json.loads(expect((201,), ask(user, "POST", "/pictures", sent)))
        assert (kept["width"], kept["height"]) == (WIDTH, HEIGHT), f"another size: {kept}"
    for operation, query in (("rotated", "degrees=90"), ("thumbnail", "size=120")):
        with user.measure(operation):
            made = expect((200,), ask(user, "GET", f"/pictures/{kept['id']}/{operation}?{query}"))
            size = struct.unpack(">II", made[16:24])
            assert size == ((HEIGHT, WIDTH) if operation == "rotated" else (120, 90)), (
                f"{operation} has the size {size}"
            )
    with user.measure("remove"):
        expect((204,), ask(user, "DELETE", f"/pictures/{kept['id']}"))
