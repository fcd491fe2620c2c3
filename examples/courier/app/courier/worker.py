"""Takes messages from the queue, gets a reply, stores both in one transaction, sends the reply as a chat message."""

import asyncio
import os
import socket

import aiohttp
from aiohttp import web

from courier import defects
from courier.http import make_app, patiently, serve
from courier.llm import Replies
from courier.queue import Queue, QueueUnavailable
from courier.settings import SETTINGS
from courier.store import Store, StoreUnavailable

BATCH = 64
CONFIDENT = 0.5
OUTBOX = 50


class Worker:
    """One worker; its name survives restarts, so that it finds what it took before it was killed."""

    def __init__(self, app: web.Application, session: aiohttp.ClientSession) -> None:
        self._queue: Queue = app["queue"]
        self._store: Store = app["store"]
        self._metrics = app["metrics"]
        self._session = session
        self._replies = Replies(session)
        self._name = os.environ.get("COURIER_WORKER_NAME", socket.gethostname())

    async def run(self) -> None:
        """Process messages until the program ends."""
        own = True  # first what was left unfinished
        while True:
            try:
                entries = await self._queue.read(self._name, BATCH, own=own)
                own = own and bool(entries)
                if entries:
                    await self._process(entries)
            except (QueueUnavailable, StoreUnavailable):
                own = True
                await asyncio.sleep(0.3)

    async def _process(self, entries: list[tuple[str, dict[str, str]]]) -> None:
        """A batch: users side by side, each user's messages in order."""
        by_user: dict[str, list[tuple[str, dict[str, str]]]] = {}
        for entry, message in entries:
            by_user.setdefault(message["user"], []).append((entry, message))
        results = await asyncio.gather(
            *(self._of_one_user(group) for group in by_user.values()), return_exceptions=True
        )
        failures = [result for result in results if isinstance(result, BaseException)]
        for failure in failures:
            if not isinstance(failure, (QueueUnavailable, StoreUnavailable)):
                raise failure
        if failures:
            raise StoreUnavailable("some messages of the batch must be tried again")

    async def _of_one_user(self, group: list[tuple[str, dict[str, str]]]) -> None:
        for entry, message in group:
            reply, provider, confidence = await self._replies.reply(message["text"])
            status = "answered" if confidence >= CONFIDENT else "review"
            twice = defects.on("duplicate-writes") and hash(message["id"]) % 10 == 0
            await self._store.finish(message, reply, provider, status, twice=twice)
            await self._queue.done([entry])
            self._metrics.counters["messages_processed_total"] += 1
            for known in self._replies.providers:
                self._metrics.gauges[f'circuit_state{{provider="{known.name}"}}'] = known.breaker.state

    async def send(self) -> None:
        """Send outgoing messages; one is marked only after the chat service confirmed it, which knows ids it has seen."""
        while True:
            try:
                waiting = await self._store.unsent(OUTBOX)
                results = await asyncio.gather(*(self._send_one(item) for item in waiting))
                sent = [item["id"] for item, ok in zip(waiting, results) if ok]
                if sent:
                    await self._store.sent(sent)
                if len(sent) < OUTBOX:
                    await asyncio.sleep(0.2)
            except StoreUnavailable:
                await asyncio.sleep(0.5)

    async def _send_one(self, item: dict) -> bool:
        body = {"id": item["message_id"], "user": item["user_id"], "text": item["text"]}
        try:
            timeout = aiohttp.ClientTimeout(total=SETTINGS.call_timeout)
            async with self._session.post(f"{SETTINGS.chat}/send", json=body, timeout=timeout) as answer:
                return answer.status == 200
        except (aiohttp.ClientError, asyncio.TimeoutError):
            return False


def main() -> None:
    """Run the worker."""
    defects.check()
    queue, store = Queue(), Store()
    app = make_app(queue, store)

    async def start(app: web.Application) -> None:
        await patiently(queue.prepare)
        await patiently(store.prepare)
        app["session"] = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=100, ttl_dns_cache=2))
        worker = Worker(app, app["session"])
        app["tasks"] = [asyncio.create_task(_or_die(worker.run())), asyncio.create_task(_or_die(worker.send()))]

    app.on_startup.append(start)
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
