"""Deltas as lines of JSON, between a worker and its parent."""

import base64
import json
from dataclasses import asdict

from shakedown.records.histogram import Histogram
from shakedown.records.load import Bucket, BucketKey, ErrorRecord, LoadCounts, LoadDelta, Outcome, Pulse

__all__ = ["decode_delta", "encode_delta"]


def _pack(histogram: Histogram) -> str:
    return base64.b85encode(histogram.to_bytes()).decode()


def _unpack(text: str) -> Histogram:
    return Histogram.from_bytes(base64.b85decode(text))


def encode_delta(delta: LoadDelta) -> dict[str, object]:
    """A delta as JSON-able data."""
    return {
        "load": delta.load,
        "at": delta.at,
        "counts": asdict(delta.counts),
        "buckets": [
            [
                key.request,
                key.outcome.value,
                key.second,
                _pack(bucket.response),
                _pack(bucket.service),
                bucket.bytes_received,
                bucket.unanswered,
                key.warm_up,
            ]
            for key, bucket in delta.buckets.items()
        ],
        "pulses": [[slot, pulse.ok, pulse.bad, pulse.slowest] for slot, pulse in delta.pulses.items()],
        "start_lag": [[second, _pack(lag)] for second, lag in delta.start_lag.items()],
        "errors": [asdict(error) for error in delta.errors],
    }


def decode_delta(text: str) -> LoadDelta:
    """The delta of `json.dumps(encode_delta(…))`.

    Raises:
        ValueError, KeyError, TypeError: this is no such line.
    """
    data = json.loads(text)
    return LoadDelta(
        load=data["load"],
        at=data["at"],
        counts=LoadCounts(**data["counts"]),
        buckets={
            BucketKey(request, Outcome(outcome), second, warm_up): Bucket(
                _unpack(response), _unpack(service), size, unanswered
            )
            for request, outcome, second, response, service, size, unanswered, warm_up in data["buckets"]
        },
        pulses={slot: Pulse(ok, bad, slowest) for slot, ok, bad, slowest in data["pulses"]},
        start_lag={second: _unpack(lag) for second, lag in data["start_lag"]},
        errors=[ErrorRecord(**error) for error in data["errors"]],
    )
