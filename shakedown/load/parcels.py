"""Outcomes of shards as compact bytes, on their way back to the orchestrator."""

import json
import zlib
from dataclasses import asdict, replace

from shakedown.load.codec import decode_delta, encode_delta
from shakedown.load.shards import ShardOutcome

__all__ = ["pack", "unpack"]

_FAST = 1  # histograms are compressed already; this takes back what base 85 added, and shortens ledgers


def pack(outcome: ShardOutcome) -> bytes:
    """An outcome as bytes."""
    delta = None if outcome.delta is None else json.dumps(encode_delta(outcome.delta))
    return zlib.compress(json.dumps([asdict(replace(outcome, delta=None)), delta]).encode(), _FAST)


def unpack(data: bytes) -> ShardOutcome:
    """The outcome that `pack` made these bytes of.

    Raises:
        ValueError: these are no such bytes.
    """
    try:
        fields, delta = json.loads(zlib.decompress(data))
        outcome = ShardOutcome(**fields)
        if delta is not None:
            outcome.delta = decode_delta(delta)
    except (zlib.error, TypeError, KeyError) as error:
        raise ValueError(f"not the outcome of a shard: {error}") from error
    return outcome
