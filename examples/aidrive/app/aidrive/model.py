"""The end of the chain: says how an inventory will change."""

import asyncio

from aidrive.door import Answer, House, as_json, serve
from aidrive.metrics import METRICS


async def predict(_: str) -> Answer:
    """The change of the next days, in per cent."""
    await asyncio.sleep(0.003)
    return as_json({"change": [1.5, -0.5, 2.0]})


async def health(_: str) -> Answer:
    """It depends on nothing."""
    return as_json({"status": "ok"})


async def metrics(_: str) -> Answer:
    """For an observer."""
    return 200, METRICS.text().encode()


async def _nothing() -> None:
    return


if __name__ == "__main__":
    serve(House({"/predict": predict, "/health": health, "/metrics": metrics}), _nothing)
