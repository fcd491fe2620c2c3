"""The middle of the chain: a forecast by the model, or, when that says nothing, by a mean of its own."""

import os

from aidrive import defects
from aidrive.door import Answer, House, as_json, serve
from aidrive.metrics import METRICS
from aidrive.peer import Peer, PeerUnavailable

MEAN = [0.9, 0.9, 0.9]
PEERS: dict[str, Peer] = {}


async def forecast(_: str) -> Answer:
    """Three days ahead."""
    try:
        return as_json({"by": "model", "change": (await PEERS["model"].get("/predict"))["change"]})
    except PeerUnavailable as error:
        if defects.on("cascade"):
            return as_json({"error": repr(error)}, 502)
        return as_json({"by": "mean", "change": MEAN})


async def health(_: str) -> Answer:
    """Without the model it is less exact, and well."""
    if defects.on("cascade"):
        try:
            await PEERS["model"].get("/health")
        except PeerUnavailable as error:
            return as_json({"status": "down", "model": repr(error)}, 503)
    return as_json({"status": "ok"})


async def metrics(_: str) -> Answer:
    """For an observer."""
    return 200, METRICS.text().encode()


async def _prepare() -> None:
    PEERS["model"] = Peer("model", os.environ.get("MODEL_URL", "http://model:8002"))


if __name__ == "__main__":
    serve(House({"/forecast": forecast, "/health": health, "/metrics": metrics}), _prepare)
