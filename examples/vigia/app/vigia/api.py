"""What the api answers: cameras, events, pictures, messages."""

import asyncio
import uuid
from concurrent.futures import ThreadPoolExecutor

from aiohttp import web

from vigia import messages, pictures, wrong
from vigia.service import document, serve
from vigia.store import Missing
from vigia.wrong import NAME, TEXT, Wrong, mapping, number, text

_WORKERS = ThreadPoolExecutor(2, "picture")
_MANY = 100


async def _work(function, *arguments):
    """Work on pictures, beside everything else."""
    return await asyncio.get_running_loop().run_in_executor(_WORKERS, function, *arguments)


def _id(request: web.Request) -> uuid.UUID:
    try:
        return uuid.UUID(request.match_info["id"])
    except ValueError:
        raise Missing("no such event") from None


# ------------------------------------------------------------------------------------------------------------- cameras
async def put_camera(request: web.Request) -> web.Response:
    """The camera of this name; made when nobody made it before."""
    name = text(request.match_info["name"], "name", NAME)
    place = text(mapping(await document(request)).get("place", ""), "place", NAME, 0)
    store = request.app["store"]
    async with store.transaction() as connection:
        camera, new = await store.get_or_create(connection, name, place)
    return web.json_response(camera, status=201 if new else 200)


async def get_camera(request: web.Request) -> web.Response:
    """A camera."""
    return web.json_response(await request.app["store"].camera(request.match_info["name"]))


async def get_cameras(request: web.Request) -> web.Response:
    """Cameras by the beginning of their names."""
    prefix = text(request.query.get("prefix", ""), "prefix", NAME, 0)
    limit = number(request.query.get("limit"), "limit", 20, 1, _MANY)
    return web.json_response(await request.app["store"].cameras(prefix, limit))


async def patch_camera(request: web.Request) -> web.Response:
    """A camera has another place."""
    place = text(mapping(await document(request)).get("place"), "place", NAME, 0)
    return web.json_response(await request.app["store"].move(request.match_info["name"], place))


async def delete_camera(request: web.Request) -> web.Response:
    """A camera is no more."""
    await request.app["store"].remove_camera(request.match_info["name"])
    return web.Response(status=204)


# -------------------------------------------------------------------------------------------------------------- events
async def post_event(request: web.Request) -> web.Response:
    """Something happened; those who asked for it are told."""
    event, store = wrong.event(await document(request)), request.app["store"]
    async with store.transaction() as connection:
        new = await store.add(connection, event)
        told = await messages.tell(connection, [event] if new else [])
    return web.json_response({"id": str(event["id"]), "told": told}, status=201 if new else 200)


async def post_events(request: web.Request) -> web.Response:
    """Many at once: all of them or none."""
    sent = await document(request)
    if not isinstance(sent, list) or not 0 < len(sent) <= _MANY:
        raise Wrong(f"the body must be a list of 1 to {_MANY} events")
    events, store = [wrong.event(one) for one in sent], request.app["store"]
    async with store.transaction() as connection:
        new = [await store.add(connection, event) for event in events]
        await messages.tell(connection, [event for event, is_new in zip(events, new) if is_new])
    return web.json_response({"new": sum(new), "ids": [str(event["id"]) for event in events]}, status=201)


async def get_event(request: web.Request) -> web.Response:
    """An event."""
    return web.json_response(await request.app["store"].event(_id(request)))


async def get_events(request: web.Request) -> web.Response:
    """A camera's events, the newest first."""
    query = request.query
    limit, before = (
        number(query.get("limit"), "limit", 20, 1, _MANY),
        number(query.get("before"), "before", 2**62, 1, 2**62),
    )
    found = await request.app["store"].events(query.get("camera", ""), query.get("kind", ""), before, limit)
    return web.json_response(found)


async def delete_event(request: web.Request) -> web.Response:
    """An event is forgotten."""
    await request.app["store"].remove_event(_id(request))
    return web.Response(status=204)


# ------------------------------------------------------------------------------------------------------------ pictures
async def post_picture(request: web.Request) -> web.Response:
    """Keep a picture."""
    picture, new = await _work(pictures.keep, await request.read())
    return web.json_response(picture, status=201 if new else 200)


async def get_picture(request: web.Request) -> web.Response:
    """What a picture is."""
    return web.json_response(await _work(pictures.describe, request.match_info["id"]))


async def get_made(request: web.Request) -> web.Response:
    """What is made of a picture."""
    body, kind = await _work(pictures.make, request.match_info["id"], request.match_info["operation"], request.query)
    return web.Response(body=body, content_type=kind)


async def get_compared(request: web.Request) -> web.Response:
    """How far two pictures lie apart."""
    return web.json_response(await _work(pictures.compare, request.match_info["id"], request.match_info["other"]))


async def delete_picture(request: web.Request) -> web.Response:
    """A picture is no more."""
    await _work(pictures.remove, request.match_info["id"])
    return web.Response(status=204)


async def post_share(request: web.Request) -> web.Response:
    """Others may look at a picture."""
    picture = (await _work(pictures.describe, request.match_info["id"]))["id"]
    return web.json_response({"code": await request.app["store"].share(picture)}, status=201)


async def get_share(request: web.Request) -> web.Response:
    """Which picture a code stands for."""
    return web.json_response({"picture": await request.app["store"].shared(request.match_info["code"])})


async def delete_share(request: web.Request) -> web.Response:
    """Nobody may look any more."""
    await request.app["store"].unshare(request.match_info["code"])
    return web.Response(status=204)


# ------------------------------------------------------------------------------------------------------------ messages
async def post_message(request: web.Request) -> web.Response:
    """Tell one, or many."""
    sent = mapping(await document(request))
    key, words = text(sent.get("key"), "key", NAME), text(sent.get("text"), "text", TEXT)
    store = request.app["store"]
    if "recipients" in sent:
        many = sent["recipients"]
        if not isinstance(many, list) or not 0 < len(many) <= _MANY:
            raise Wrong(f"recipients must be a list of 1 to {_MANY} names")
        names = [text(one, "recipient", NAME) for one in many]
        async with store.transaction() as connection:
            told = await messages.broadcast(connection, names, key, words)
        return web.json_response({"told": told}, status=201)
    recipient = text(sent.get("recipient"), "recipient", NAME)
    async with store.transaction() as connection:
        place, new = await messages.send(connection, recipient, key, words)
    return web.json_response({"number": place}, status=201 if new else 200)


async def get_inbox(request: web.Request) -> web.Response:
    """What somebody was told."""
    after = number(request.query.get("after"), "after", 0, 0, 2**62)
    limit = number(request.query.get("limit"), "limit", _MANY, 1, _MANY)
    return web.json_response(await messages.inbox(request.app["store"], request.match_info["who"], after, limit))


async def get_unread(request: web.Request) -> web.Response:
    """How much of it they have not seen."""
    return web.json_response({"unread": await messages.unread(request.app["store"], request.match_info["who"])})


async def post_read(request: web.Request) -> web.Response:
    """They have seen everything up to a number."""
    up_to = mapping(await document(request)).get("up_to")
    if type(up_to) is not int or not 0 < up_to < 2**62:
        raise Wrong("up_to must be the number of a message")
    return web.json_response({"unread": await messages.mark(request.app["store"], request.match_info["who"], up_to)})


async def put_subscription(request: web.Request) -> web.Response:
    """Somebody wants to be told of a camera."""
    who, camera = (text(request.match_info[key], key, NAME) for key in ("who", "camera"))
    return web.Response(status=201 if await messages.subscribe(request.app["store"], who, camera) else 204)


async def delete_subscription(request: web.Request) -> web.Response:
    """Somebody wants to be told no more."""
    await messages.unsubscribe(request.app["store"], request.match_info["who"], request.match_info["camera"])
    return web.Response(status=204)


ROUTES = [
    web.put("/cameras/{name}", put_camera), web.get("/cameras/{name}", get_camera), web.get("/cameras", get_cameras),
    web.patch("/cameras/{name}", patch_camera), web.delete("/cameras/{name}", delete_camera),
    web.post("/events", post_event), web.post("/events/batch", post_events), web.get("/events", get_events),
    web.get("/events/{id}", get_event), web.delete("/events/{id}", delete_event),
    web.post("/pictures", post_picture), web.get("/pictures/{id}", get_picture), web.delete("/pictures/{id}", delete_picture),
    web.get("/pictures/{id}/compared/{other}", get_compared), web.post("/pictures/{id}/shares", post_share),
    web.get("/pictures/{id}/{operation}", get_made), web.get("/shares/{code}", get_share), web.delete("/shares/{code}", delete_share),
    web.post("/messages", post_message), web.get("/inboxes/{who}", get_inbox), web.get("/inboxes/{who}/unread", get_unread),
    web.post("/inboxes/{who}/read", post_read),
    web.put("/subscriptions/{who}/{camera}", put_subscription), web.delete("/subscriptions/{who}/{camera}", delete_subscription),
]  # fmt: skip


def _prepare(app: web.Application):
    pictures.prepare()
    return lambda: {**app["store"].figures(), **pictures.figures()}


if __name__ == "__main__":
    serve(ROUTES, _prepare)
