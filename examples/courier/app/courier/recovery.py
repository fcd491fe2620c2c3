"""Puts back into the queue what a worker took and never finished; looks whether the books are right."""

import asyncio

from aiohttp import web

from courier import defects
from courier.http import make_app, patiently, serve
from courier.metrics import METRICS
from courier.queue import Queue, QueueUnavailable
from courier.settings import SETTINGS
from courier.store import Store, StoreUnavailable


async def run(app: web.Application) -> None:
    """Look again and again."""
    while True:
        await asyncio.sleep(SETTINGS.stale_after / 4)
        try:
            count = await app["queue"].requeue_stale(SETTINGS.stale_after)
            METRICS.counters["messages_requeued_total"] += count
        except QueueUnavailable:
            continue


async def check_the_books(app: web.Application) -> None:
    """Count what should not be: answers without their outgoing message, messages that the tally missed."""
    while True:
        await asyncio.sleep(SETTINGS.stale_after / 2)
        try:
            METRICS.gauges |= await app["store"].books()
        except StoreUnavailable:
            continue


def main() -> None:
    """Run the recovery agent."""
    defects.check()
    queue, store = Queue(), Store("recovery")
    app = make_app(queue, store)

    async def start(app: web.Application) -> None:
        await patiently(queue.prepare)
        await patiently(store.prepare)
        app["tasks"] = [asyncio.create_task(run(app)), asyncio.create_task(check_the_books(app))]

    app.on_startup.append(start)
    serve(app)


if __name__ == "__main__":
    main()
