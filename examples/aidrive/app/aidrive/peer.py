"""Calls from one service to the next: bounded in time, behind a breaker."""

from typing import Any

import aiohttp

from aidrive import defects
from aidrive.breaker import Breaker
from aidrive.metrics import METRICS

WITHIN = 0.4


class PeerUnavailable(Exception):
    """It does not answer, answers with an error, or was not asked because it did."""


class Peer:
    """Another service."""

    def __init__(self, name: str, url: str) -> None:
        self._name, self._url, self._breaker = name, url, Breaker(name)
        self._session: aiohttp.ClientSession | None = None
        METRICS.counters[f'calls_total{{to="{name}"}}'] = 0

    async def get(self, path: str) -> Any:
        """What it answers.

        Raises:
            PeerUnavailable: nothing good.
        """
        if not self._breaker.allows():
            raise PeerUnavailable("the circuit is open")
        if self._session is None:
            within = aiohttp.ClientTimeout(total=None if defects.on("no-timeout") else WITHIN)
            self._session = aiohttp.ClientSession(
                timeout=within, connector=aiohttp.TCPConnector(limit=32, ttl_dns_cache=2)
            )
        METRICS.counters[f'calls_total{{to="{self._name}"}}'] += 1
        try:
            async with self._session.get(self._url + path) as response:
                response.raise_for_status()
                answer = await response.json()
        except Exception as error:  # refused, too late, broken off, an error, or no JSON
            self._breaker.note(ok=False)
            raise PeerUnavailable(repr(error)) from error
        self._breaker.note(ok=True)
        return answer
