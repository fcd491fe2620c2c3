"""Puts back into the queue what a worker took and never finished."""

import asyncio

from aiohttp import web

from courier import defects
from courier.http import make_app, patiently, serve
from courier.queue import Queue, QueueUnavailable
from courier.settings import SETTINGS
from courier.store import Store


async def run(app: web.Application) -> None:
    """Look again and again."""
    while True:
        await asyncio.sleep(SETTINGS.stale_after / 4)
        try:
            count = await app["queue"].requeue_stale(SETTINGS.stale_after)
            app["metrics"].counters["messages_requeued_total"] += count
        except QueueUnavailable:
            continue


def main() -> None:
    """Run the recovery agent."""
    defects.check()
    queue, store = Queue(), Store()
    app = make_app(queue, store)

    async def start(app: web.Application) -> None:
        await patiently(queue.prepare)
        app["task"] = asyncio.create_task(run(app))

    app.on_startup.append(start)
    serve(app)


if __name__ == "__main__":
    main()
