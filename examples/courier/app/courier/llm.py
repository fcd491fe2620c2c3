"""Replies from a language model: two providers, each behind a time-out, a few retries and a circuit breaker."""

import asyncio
import random
import time
from dataclasses import dataclass

import aiohttp

from courier.settings import SETTINGS

RETRIES = 2
OPEN_AFTER, OPEN_FOR = 5, 5.0
CLOSED, HALF_OPEN, OPEN = 0, 1, 2
FINAL = (400, 401, 403, 404, 422)  # asking again does not help


class NoReply(Exception):
    """A provider gave none."""


@dataclass
class Breaker:
    """Opens after several failures in a row; lets one call through after a while; closes when that succeeds."""

    failures: int = 0
    opened_at: float = 0.0
    probing: bool = False

    @property
    def state(self) -> int:
        """0 closed, 1 half-open, 2 open."""
        if self.failures < OPEN_AFTER:
            return CLOSED
        return HALF_OPEN if time.monotonic() - self.opened_at >= OPEN_FOR else OPEN

    def allows(self) -> bool:
        """Whether a call may be made now."""
        if self.state == CLOSED:
            return True
        if self.state == HALF_OPEN and not self.probing:
            self.probing = True
            return True
        return False

    def note(self, *, ok: bool) -> None:
        """What came of a call."""
        self.probing = False
        if ok:
            self.failures = 0
        else:
            self.failures += 1
            self.opened_at = time.monotonic()


class Provider:
    """One language model service."""

    def __init__(self, name: str, url: str, session: aiohttp.ClientSession) -> None:
        self.name = name
        self.breaker = Breaker()
        self._url, self._session = url, session

    async def reply(self, text: str) -> tuple[str, float]:
        """A reply and its confidence.

        Raises:
            NoReply: the provider failed, or its breaker is open.
        """
        for attempt in range(RETRIES + 1):
            if not self.breaker.allows():
                raise NoReply(f"{self.name}: circuit open")
            try:
                timeout = aiohttp.ClientTimeout(total=SETTINGS.llm_timeout)
                async with self._session.post(f"{self._url}/complete", json={"text": text}, timeout=timeout) as answer:
                    if answer.status == 200:
                        body = await answer.json()
                        self.breaker.note(ok=True)
                        return str(body["text"]), float(body["confidence"])
                    self.breaker.note(ok=False)
                    if answer.status in FINAL:
                        raise NoReply(f"{self.name}: HTTP {answer.status}")
            except (aiohttp.ClientError, asyncio.TimeoutError, ValueError, KeyError):
                self.breaker.note(ok=False)
            await asyncio.sleep(0.05 * 2**attempt * (0.5 + random.random()))
        raise NoReply(f"{self.name}: {RETRIES + 1} attempts failed")


class Replies:
    """The chain: primary, fallback, a canned answer."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.providers = [
            Provider("llm-primary", SETTINGS.llm_primary, session),
            Provider("llm-fallback", SETTINGS.llm_fallback, session),
        ]

    async def reply(self, text: str) -> tuple[str, str, float]:
        """Reply, provider, confidence; there is always an answer."""
        for provider in self.providers:
            try:
                reply, confidence = await provider.reply(text)
            except NoReply:
                continue
            return reply, provider.name, confidence
        return "We have your message and will come back to you.", "canned", 1.0
