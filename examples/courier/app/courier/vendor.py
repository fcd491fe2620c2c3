"""Stand-ins for what is truly outside: two language model services and a chat service, told how to behave by POST /mode."""

import asyncio
import hashlib
import os
import time
from collections import Counter

from aiohttp import web

from courier.http import serve

SENT: Counter = Counter()
CALLS: Counter = Counter()
FLIGHT = {"now": 0, "peak": 0}
MODE = {"status": 200, "delay": 0.02}
RATE = float(os.environ.get("VENDOR_RATE", 0))  # chat messages a second, as chat services limit them; 0: any number
ROOM = {"left": RATE, "at": time.monotonic(), "refused": 0.0}


def within_the_rate() -> bool:
    """Whether one more chat message may be sent now: a bucket that holds what a second allows."""
    now = time.monotonic()
    ROOM["left"], ROOM["at"] = min(RATE, ROOM["left"] + (now - ROOM["at"]) * RATE), now
    allowed = not RATE or ROOM["left"] >= 1
    ROOM["left"] -= allowed
    ROOM["refused"] += not allowed
    return allowed


@web.middleware
async def count(request: web.Request, handler) -> web.StreamResponse:
    """Count the calls, and how many are here at once; who only looks is none of them."""
    called = request.method == "POST"
    FLIGHT["now"] += called
    FLIGHT["peak"] = max(FLIGHT["peak"], FLIGHT["now"])
    status = 0
    try:
        response = await handler(request)
        status = response.status
        return response
    finally:
        FLIGHT["now"] -= called
        CALLS[request.path, status] += 1


async def metrics(_: web.Request) -> web.Response:
    """What arrived here: the other side of retries, breakers and herds."""
    lines = ["# TYPE calls_total counter"]
    lines += [f'calls_total{{path="{path}",status="{status}"}} {number}' for (path, status), number in CALLS.items()]
    lines += ["# TYPE in_flight gauge", f"in_flight {FLIGHT['now']}"]
    lines += ["# TYPE in_flight_peak gauge", f"in_flight_peak {FLIGHT['peak']}"]
    lines += ["# TYPE limited_total counter", f"limited_total {ROOM['refused']}"]
    return web.Response(text="\n".join(lines) + "\n", content_type="text/plain")


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
    if not within_the_rate():
        return web.json_response({"error": "too many messages"}, status=429, headers={"Retry-After": "1"})
    await asyncio.sleep(MODE["delay"])
    fresh = message not in SENT
    SENT[message] += fresh
    return web.json_response({"sent": fresh})


async def typing(request: web.Request) -> web.Response:
    """Shows a user that an answer is being written."""
    await request.read()
    await asyncio.sleep(MODE["delay"])
    return web.json_response({"shown": True}, status=int(MODE["status"]))


async def sent(request: web.Request) -> web.Response:
    """How often a message was sent, or how many were."""
    message = request.query.get("message")
    return web.json_response({"count": SENT[message] if message else sum(SENT.values())})


async def mode(request: web.Request) -> web.Response:
    """Behave differently from now on; the peak is counted anew."""
    FLIGHT["peak"] = FLIGHT["now"]
    MODE.update({key: float(value) for key, value in (await request.json()).items() if key in MODE})
    return web.json_response(MODE)


async def health(_: web.Request) -> web.Response:
    """It is there."""
    return web.json_response({"status": "ok"})


def main() -> None:
    """Run a vendor."""
    app = web.Application(middlewares=[count])
    app.add_routes(
        [web.post("/complete", complete), web.post("/send", send), web.post("/typing", typing), web.get("/sent", sent),
         web.post("/mode", mode), web.get("/health", health), web.get("/metrics", metrics)]
    )  # fmt: skip
    serve(app)


if __name__ == "__main__":
    main()
