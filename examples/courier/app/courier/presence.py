"""Tells the chat service that an answer is being written: nice to have, and so never worth waiting for."""

import asyncio
import json
import time
import urllib.request

import aiohttp

from courier import defects
from courier.breaker import Breaker
from courier.metrics import METRICS
from courier.settings import SETTINGS

AT_ONCE, PAUSE = 4, 0.1  # at once; seconds between two
METRICS.counters.update({"typing_left_out_total": 0})


class Presence:
    """A few calls in the background, ten a second; the rest is left out."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self._breaker = Breaker("chat-typing")
        self._tasks: set[asyncio.Task[None]] = set()
        self._next = 0.0

    def typing(self, user: str) -> None:
        """Show it to a user, if there is room for the call."""
        if defects.on("blocking-call"):
            return _typing_at_once(user)
        now = time.monotonic()
        if now < self._next or len(self._tasks) >= AT_ONCE or not self._breaker.allows():
            METRICS.counters["typing_left_out_total"] += 1
            return
        self._next = now + PAUSE
        task = asyncio.create_task(self._post(user))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _post(self, user: str) -> None:
        ok = False
        try:
            timeout = aiohttp.ClientTimeout(total=SETTINGS.call_timeout)
            async with self._session.post(f"{SETTINGS.chat}/typing", json={"user": user}, timeout=timeout) as answer:
                ok = answer.status == 200
        except (aiohttp.ClientError, asyncio.TimeoutError):
            pass
        self._breaker.note(ok=ok)


def _typing_at_once(user: str) -> None:
    """The mistake of blocking-call: a library that waits, called where nothing else runs meanwhile."""
    body = json.dumps({"user": user}).encode()
    request = urllib.request.Request(f"{SETTINGS.chat}/typing", body, {"Content-Type": "application/json"})
    try:
        urllib.request.urlopen(request, timeout=SETTINGS.call_timeout).read()
    except OSError:
        pass
