"""A bounded cache for several threads: what was used longest ago goes first."""

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Any

from dialogue import defects


class Cache:
    """At most `limit` items. Each key has a version, so that who read before a write does not put what is old."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.hits = self.misses = 0
        self._items: OrderedDict[Hashable, Any] = OrderedDict()
        self._version = 0
        self._written: dict[Hashable, int] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._items)

    def get(self, key: Hashable) -> tuple[Any, int]:
        """What is kept of a key, or None; and the version to hand to `put`."""
        with self._lock:
            found = self._items.get(key)
            if found is None:
                self.misses += 1
            else:
                self.hits += 1
                self._items.move_to_end(key)
            return found, self._version

    def put(self, key: Hashable, value: Any, version: int) -> None:
        """Keep a value that was read after `get` gave this version; not if the key was written to since."""
        with self._lock:
            if self._written.get(key, 0) > version and not defects.on("stale-cache"):
                return
            self._items[key] = value
            self._items.move_to_end(key)
            while len(self._items) > self.limit and not defects.on("unbounded-cache"):
                self._items.popitem(last=False)

    def forget(self, key: Hashable) -> None:
        """The key was written to."""
        with self._lock:
            self._version += 1
            self._written[key] = self._version
            if len(self._written) > 4 * self.limit:  # a version that is forgotten counts as written just now
                self._forget_all()
            self._items.pop(key, None)
            if defects.on("cold-cache"):
                self._items.clear()

    def forget_all(self) -> None:
        """Somebody else wrote, nobody knows what."""
        with self._lock:
            self._version += 1
            self._forget_all()
            self._items.clear()

    def _forget_all(self) -> None:
        self._written = _Everything(self._version)

    @property
    def hit_rate(self) -> float:
        """Share of the look-ups that found something."""
        asked = self.hits + self.misses
        return self.hits / asked if asked else 0.0


class _Everything(dict):
    """Every key that is not in it was written to at a version."""

    def __init__(self, version: int) -> None:
        super().__init__()
        self._version = version

    def get(self, key: Hashable, default: int = 0) -> int:
        """The version at which a key was written to last, at most."""
        return super().get(key, self._version)
