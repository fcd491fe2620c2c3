"""Stand-ins for what is truly outside: two language model services and a chat service, told how to behave by POST /mode."""

import asyncio
import hashlib
from collections import Counter

from aiohttp import web

from courier.http import serve

SENT: Counter = Counter()
MODE = {"status": 200, "delay": 0.02}


async def complete(request: web.Request) -> web.Response:
    """A reply that depends on the text alone."""
    text = str((await request.json()).get("text", ""))
    await asyncio.sleep(MODE["delay"])
    if MODE["status"] != 200:
        return web.json_response({"error": "told to"}, status=int(MODE["status"]), headers={"Retry-After": "1"})
    digest = hashlib.sha256(text.encode()).digest()
    return web.json_response({"text": f"You said {len(text)} characters.", "confidence": 0.1 if digest[0] < 5 else 0.9})


async def send(request: web.Request) -> web.Response:
    """A chat message; an id that was seen is confirmed again and not sent again."""
    message = str((await request.json()).get("id", ""))
    if MODE["status"] != 200:
        return web.json_response({"error": "told to"}, status=int(MODE["status"]))
    fresh = message not in SENT
    SENT[message] += fresh
    return web.json_response({"sent": fresh})


async def sent(request: web.Request) -> web.Response:
    """How often a message was sent, or how many were."""
    message = request.query.get("message")
    return web.json_response({"count": SENT[message] if message else sum(SENT.values())})


async def mode(request: web.Request) -> web.Response:
    """Behave differently from now on."""
    MODE.update({key: float(value) for key, value in (await request.json()).items() if key in MODE})
    return web.json_response(MODE)


async def health(_: web.Request) -> web.Response:
    """It is there."""
    return web.json_response({"status": "ok"})


def main() -> None:
    """Run a vendor."""
    app = web.Application()
    app.add_routes(
        [web.post("/complete", complete), web.post("/send", send), web.get("/sent", sent), web.post("/mode", mode),
         web.get("/health", health)]
    )  # fmt: skip
    serve(app)


if __name__ == "__main__":
    main()
