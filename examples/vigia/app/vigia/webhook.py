"""The server that cameras call: each delivery is signed, may come twice, and is acknowledged when all of it is stored."""

import asyncio
import hashlib
import hmac
import os
import re

from aiohttp import web

from vigia import defects, messages, wrong
from vigia.service import document, refuse, serve
from vigia.store import Busy, Conflict, Missing

SECRET = os.environ.get("VIGIA_SECRET", "vigia-demo")
SOURCES = ("gate", "hall", "yard")
LARGEST = 64 * 1024
ROOM = 8
_LATER: set[asyncio.Task] = set()


def signature(source: str, delivery: str, body: bytes) -> str:
    """What a delivery of a source is signed with: of its id as well, so that no body can be sent again under another."""
    key = f"{SECRET}-{source}".encode()
    return "sha256=" + hmac.new(key, delivery.encode() + b"." + body, hashlib.sha256).hexdigest()


async def post(request: web.Request) -> web.Response:
    """Take a delivery: 202 when it is stored, 200 when it was before."""
    source, delivery = request.match_info["source"], request.headers.get("X-Delivery", "")
    if source not in SOURCES:
        return refuse("no such source", 404)
    if not re.fullmatch(r"[A-Za-z0-9-]{8,64}", delivery):
        return refuse("X-Delivery must be 8 to 64 letters, digits and -", 400)
    body = await request.read()
    if len(body) > LARGEST:
        return refuse(f"a delivery has at most {LARGEST} bytes", 413)
    given = request.headers.get("X-Signature", "")
    right = hmac.compare_digest(given.encode("utf-8", "replace"), signature(source, delivery, body).encode())
    if not right and not defects.on("any-signature"):
        return refuse("the signature is wrong" if given else "the signature is missing", 401)
    event = wrong.event(await document(request))
    if defects.on("lost-webhook"):
        if len(_LATER) < ROOM:  # the rest is given up: who would wait for it?
            task = asyncio.get_running_loop().create_task(_take(request.app, source, delivery, event))
            _LATER.add(task)
            task.add_done_callback(_LATER.discard)
        return web.json_response({"delivery": delivery, "event": str(event["id"])}, status=202)
    answer, new = await _take(request.app, source, delivery, event)
    return web.json_response(answer, status=202 if new else 200)


async def _take(app: web.Application, source: str, delivery: str, event: dict) -> tuple[dict[str, str], bool]:
    """Camera, event, messages and delivery, all of it or nothing."""
    store = app["store"]
    async with store.transaction() as connection:
        await connection.execute("SELECT pg_advisory_xact_lock(2, hashtext($1))", delivery)  # it may come twice at once
        try:
            known = await store.delivery(delivery, connection)
        except Missing:
            pass
        else:
            if known["source"] != source:
                raise Conflict("another source has a delivery of this id")
            return {"delivery": delivery, "event": known["event"]}, False
        if await store.add(connection, event, make=True):
            await messages.tell(connection, [event])
        await store.deliver(connection, delivery, source, event["id"])
    return {"delivery": delivery, "event": str(event["id"])}, True


async def get(request: web.Request) -> web.Response:
    """What a delivery brought."""
    return web.json_response(await request.app["store"].delivery(request.match_info["id"]))


def _prepare(app: web.Application):
    return lambda: {**app["store"].figures(), "to_be_stored": len(_LATER)}


if __name__ == "__main__":
    serve([web.post("/webhooks/{source}", post), web.get("/deliveries/{id}", get)], _prepare)
