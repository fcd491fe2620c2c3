"""A bounded cache: what was used longest ago goes first, and nothing stays longer than its time."""

import time
from collections import OrderedDict
from typing import Any

from courier.metrics import METRICS

METRICS.counters.update({"cache_hits_total": 0, "cache_misses_total": 0})


class Cache:
    """At most `limit` entries, each for at most `keep` seconds."""

    def __init__(self, limit: int, keep: float) -> None:
        self._limit, self._keep = limit, keep
        self._entries: OrderedDict[str, tuple[float, Any]] = OrderedDict()
        METRICS.readers.append(lambda: {"cache_entries": len(self._entries), "cache_limit": limit})

    def get(self, key: str) -> tuple[Any, float] | None:
        """An entry and its age in seconds."""
        stored, value = self._entries.get(key, (0.0, None))
        age = time.monotonic() - stored
        if value is None or age > self._keep:
            METRICS.counters["cache_misses_total"] += 1
            return None
        self._entries.move_to_end(key)
        METRICS.counters["cache_hits_total"] += 1
        return value, age

    def put(self, key: str, value: Any) -> None:
        """Keep an entry."""
        self._entries[key] = (time.monotonic(), value)
        self._entries.move_to_end(key)
        if len(self._entries) > self._limit:
            self._entries.popitem(last=False)
