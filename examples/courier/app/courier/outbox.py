"""Sends what waits in the outbox to the chat service: a few at a time, no faster than it likes, and not while it is down."""

import asyncio
import time
from typing import Any

import aiohttp

from courier import defects
from courier.breaker import Breaker
from courier.metrics import METRICS
from courier.settings import SETTINGS
from courier.store import Store, StoreUnavailable

SOME = 20
AT_ONCE = 8
PAUSE = 0.2
HERD, TICK = 10_000, 1.0
METRICS.counters.update({"chat_calls_total": 0, "chat_sent_total": 0})


class Outbox:
    """A message is marked as sent only after the chat service confirmed it, which knows ids it has seen."""

    def __init__(self, store: Store, session: aiohttp.ClientSession) -> None:
        self._store, self._session = store, session
        self._breaker = Breaker("chat", open_for=1.0)
        self._room = asyncio.Semaphore(AT_ONCE)
        self.stopping = False

    async def run(self) -> None:
        """Send until the program ends."""
        while not self.stopping:
            try:
                await (self._send_all_at_once() if defects.on("thundering-herd") else self._send_some())
            except StoreUnavailable:
                await asyncio.sleep(0.5)

    async def _send_some(self) -> None:
        begun = time.monotonic()
        waiting = await self._store.take_unsent(SOME)
        sent = await self._send(waiting)
        full = len(sent) == SOME
        await asyncio.sleep(max(0.0, begun + SOME / SETTINGS.chat_rate - time.monotonic()) if full else PAUSE)

    async def _send_all_at_once(self) -> None:
        """The mistake of thundering-herd: everybody waits for the same stroke of the clock."""
        await asyncio.sleep(TICK - time.time() % TICK)
        await self._send(await self._store.take_unsent(HERD), herd=True)

    async def _send(self, waiting: list[dict[str, Any]], *, herd: bool = False) -> list[int]:
        results = await asyncio.gather(*(self._now(item) if herd else self._in_turn(item) for item in waiting))
        sent = [item["id"] for item, ok in zip(waiting, results) if ok]
        if sent:
            await self._store.sent(sent)
        if left := [item["id"] for item, ok in zip(waiting, results) if not ok]:
            await self._store.give_back(left)
        METRICS.counters["chat_sent_total"] += len(sent)
        return sent

    async def _in_turn(self, item: dict[str, Any]) -> bool:
        async with self._room:
            if not self._breaker.allows():
                return False
            ok = await self._now(item)
            self._breaker.note(ok=ok)
            return ok

    async def _now(self, item: dict[str, Any]) -> bool:
        METRICS.counters["chat_calls_total"] += 1
        body = {"id": item["message_id"], "user": item["user_id"], "text": item["text"]}
        try:
            timeout = aiohttp.ClientTimeout(total=SETTINGS.call_timeout)
            async with self._session.post(f"{SETTINGS.chat}/send", json=body, timeout=timeout) as answer:
                return answer.status == 200
        except (aiohttp.ClientError, asyncio.TimeoutError):
            return False
