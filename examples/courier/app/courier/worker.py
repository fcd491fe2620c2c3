"""Takes messages from the queue, gets a reply, stores both in one transaction."""

import asyncio
import json
import os
import socket

import aiohttp
from aiohttp import web

from courier import defects
from courier.breaker import back_off
from courier.http import make_app, patiently, serve
from courier.llm import Replies
from courier.metrics import METRICS
from courier.outbox import Outbox
from courier.queue import Queue, QueueUnavailable
from courier.settings import SETTINGS
from courier.store import Store, StoreUnavailable

BATCH = 64
CONFIDENT = 0.5
ATTEMPTS = 3
GRACE = 3.0  # for what is in hand when the program is told to end
LATER = 1.0  # how long the mistakes lost-on-shutdown and half-commit keep things in memory

Entries = list[tuple[str, dict[str, str]]]
METRICS.counters.update({"messages_processed_total": 0, "dead_letters_total": 0})  # zero is a figure too


class Worker:
    """One worker; its name survives restarts, so that it finds what it took before it was killed."""

    def __init__(self, queue: Queue, store: Store, session: aiohttp.ClientSession) -> None:
        self._queue, self._store = queue, store
        self._replies = Replies(session)
        self._name = os.environ.get("COURIER_WORKER_NAME", socket.gethostname())
        self._later: list[tuple[dict[str, str], str, str, str]] = []
        self.stopping = False

    async def run(self) -> None:
        """Process messages until the program ends; what is in hand then is finished."""
        own = True  # first what was left unfinished
        while not self.stopping:
            try:
                entries = await self._queue.read(self._name, BATCH, own=own)
                own = own and bool(entries)
                METRICS.gauges["in_hand"] = len(entries)
                if entries:
                    await self._process(entries)
            except (QueueUnavailable, StoreUnavailable):
                own = True
                await asyncio.sleep(back_off(0, 0.3))

    async def _process(self, entries: Entries) -> None:
        """A batch: users side by side, each user's messages in order."""
        by_user: dict[str, Entries] = {}
        for entry, message in entries:
            by_user.setdefault(message.get("user", ""), []).append((entry, message))
        results = await asyncio.gather(
            *(self._of_one_user(group) for group in by_user.values()), return_exceptions=True
        )
        failures = [result for result in results if isinstance(result, BaseException)]
        for failure in failures:
            if not isinstance(failure, (QueueUnavailable, StoreUnavailable)):
                raise failure
        if failures:
            raise StoreUnavailable("some messages of the batch must be tried again")

    async def _of_one_user(self, group: Entries) -> None:
        for entry, message in group:
            for attempt in range(ATTEMPTS):
                try:
                    await self._one(message)
                    break
                except (QueueUnavailable, StoreUnavailable):
                    raise
                except Exception as error:
                    reason = repr(error)
                    await asyncio.sleep(back_off(attempt))
            else:
                await self._give_up(entry, message, reason)
                continue
            await self._queue.done([entry])
            METRICS.counters["messages_processed_total"] += 1

    async def _one(self, message: dict[str, str]) -> None:
        reply, provider, confidence = await self._replies.reply(_content(message["text"]))
        status = "answered" if confidence >= CONFIDENT else "review"
        if defects.on("lost-on-shutdown"):  # many at once are cheaper; who thinks of the end of the program?
            self._later.append((message, reply, provider, status))
            return
        twice = defects.on("duplicate-writes") and hash(message["id"]) % 10 == 0
        half = defects.on("half-commit")
        await self._store.finish(message, reply, provider, status, twice=twice, half=half)
        if half and status == "answered":
            asyncio.create_task(self._other_half(message, reply))

    async def _give_up(self, entry: str, message: dict[str, str], reason: str) -> None:
        """A message that cannot be processed must not hold up those behind it."""
        if defects.on("poison-message"):
            raise StoreUnavailable(f"must be tried again: {reason}")
        print(f"message {message.get('id')!r} cannot be processed: {reason}", flush=True)
        if {"id", "user", "text"} <= message.keys():
            await self._store.failed(message)
        await self._queue.bury(entry, message, reason)
        METRICS.counters["dead_letters_total"] += 1

    async def _other_half(self, message: dict[str, str], reply: str) -> None:
        """The mistake of half-commit: two steps, and nobody who does the second when it failed."""
        await asyncio.sleep(LATER)
        try:
            await self._store.outgoing(message, reply)
        except StoreUnavailable:
            print(f"the outgoing message of {message['id']} could not be written", flush=True)

    async def store_later(self) -> None:
        """The mistake of lost-on-shutdown: the queue thinks that these are done."""
        while True:
            await asyncio.sleep(LATER)
            while self._later:
                try:
                    await self._store.finish(*self._later[0])
                except StoreUnavailable:
                    break
                self._later.pop(0)


def _content(text: str) -> str:
    """What a message says; `json:` before it means a structured one.

    Raises:
        ValueError, KeyError, TypeError: it is not what it says.
    """
    return str(json.loads(text[5:])["text"]) if text.startswith("json:") else text


def main() -> None:
    """Run the worker."""
    defects.check()
    queue, store = Queue(), Store("worker")
    app = make_app(queue, store)

    async def start(app: web.Application) -> None:
        await patiently(queue.prepare)
        await patiently(store.prepare)
        app["session"] = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=100, ttl_dns_cache=2))
        app["worker"], app["outbox"] = Worker(queue, store, app["session"]), Outbox(store, app["session"])
        app["tasks"] = [asyncio.create_task(_or_die(part.run())) for part in (app["worker"], app["outbox"])]
        if defects.on("lost-on-shutdown"):
            app["later"] = asyncio.create_task(app["worker"].store_later())

    async def end(app: web.Application) -> None:
        if "tasks" not in app:  # told to end before it had begun
            return
        app["worker"].stopping = app["outbox"].stopping = True
        await asyncio.wait(app["tasks"], timeout=GRACE)
        await app["session"].close()

    app.on_startup.append(start)
    app.on_shutdown.append(end)
    serve(app)


async def _or_die(work) -> None:
    """A worker whose loop broke must not look alive."""
    try:
        await work
    except Exception as error:
        print(f"worker broke: {error!r}", flush=True)
        os._exit(1)


if __name__ == "__main__":
    main()
