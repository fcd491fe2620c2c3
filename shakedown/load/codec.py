"""Deltas as lines of JSON, between a worker and its parent."""

import base64
import json
import math
from dataclasses import asdict

from shakedown.records.histogram import Histogram
from shakedown.records.load import Bucket, BucketKey, DuePulse, ErrorRecord, LoadCounts, LoadDelta, Outcome, Pulse

__all__ = ["decode_delta", "encode_delta"]


def _pack(histogram: Histogram) -> str:
    return base64.b85encode(histogram.to_bytes()).decode()


def _unpack(text: str) -> Histogram:
    return Histogram.from_bytes(base64.b85decode(text))


def _finite(instant: float) -> float | None:
    """JSON knows no infinity."""
    return instant if math.isfinite(instant) else None


def _instants(first_end: float | None, first_due: float | None, last_bad: float | None) -> tuple[float, float, float]:
    return (
        math.inf if first_end is None else first_end,
        math.inf if first_due is None else first_due,
        -math.inf if last_bad is None else last_bad,
    )


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
        "dues": [
            [slot, due.ok, due.bad, due.slowest, *map(_finite, (due.first_end, due.first_due, due.last_bad))]
            for slot, due in delta.dues.items()
        ],
        "start_lag": [[second, _pack(lag)] for second, lag in delta.start_lag.items()],
        "errors": [asdict(error) for error in delta.errors],
        "degraded": [[request, second, _pack(times)] for (request, second), times in delta.degraded.items()],
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
        dues={
            slot: DuePulse(ok, bad, slowest, *_instants(first_end, first_due, last_bad))
            for slot, ok, bad, slowest, first_end, first_due, last_bad in data["dues"]
        },
        start_lag={second: _unpack(lag) for second, lag in data["start_lag"]},
        errors=[ErrorRecord(**error) for error in data["errors"]],
        degraded={(request, second): _unpack(times) for request, second, times in data["degraded"]},
    )
