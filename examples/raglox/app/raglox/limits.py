"""How often a client may ask: a bucket of tokens for each, of which few are remembered."""

import os
import time
from collections import OrderedDict

from raglox import defects

PER_SECOND = float(os.environ.get("RAGLOX_RATE_LIMIT", 5))
AT_ONCE = float(os.environ.get("RAGLOX_AT_ONCE", 20))
CLIENTS = 10_000


class Limits:
    """The buckets."""

    def __init__(self) -> None:
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self.refused = 0

    def allows(self, client: str) -> bool:
        """Take a token, if there is one; who does not say who they are is not limited."""
        if not client or not PER_SECOND or defects.on("no-rate-limit"):
            return True
        now = time.monotonic()
        tokens, last = self._buckets.pop(client, (AT_ONCE, now))
        tokens = min(AT_ONCE, tokens + (now - last) * PER_SECOND)
        self._buckets[client] = (tokens - 1 if tokens >= 1 else tokens, now)
        if len(self._buckets) > CLIENTS:
            self._buckets.popitem(last=False)
        self.refused += tokens < 1
        return tokens >= 1
