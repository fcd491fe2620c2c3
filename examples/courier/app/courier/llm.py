"""Replies from a language model: two providers, each behind a time-out, a few retries and a circuit breaker."""

import asyncio
import time

import aiohttp

from courier import defects
from courier.breaker import Breaker, Budget, back_off
from courier.metrics import METRICS
from courier.settings import SETTINGS

RETRIES = 2
STORM = 20
FINAL = (400, 401, 403, 404, 422)  # asking again does not help
LONGEST_WAIT = 10.0  # seconds, whatever a provider asks for


class NoReply(Exception):
    """A provider gave none."""


class Provider:
    """One language model service."""

    def __init__(self, name: str, url: str, session: aiohttp.ClientSession) -> None:
        self.name = name
        self._breaker, self._budget = Breaker(name), Budget()
        self._url, self._session = url, session
        self._not_before = 0.0

    @property
    def out(self) -> bool:
        """Whether it is not asked as usual."""
        return not self._breaker.closed

    async def reply(self, text: str) -> tuple[str, float]:
        """A reply and its confidence.

        Raises:
            NoReply: the provider failed, its breaker is open, or it has asked to be left alone for a while.
        """
        if defects.on("retry-storm"):
            return await self._insist(text)
        if time.monotonic() < self._not_before:
            raise NoReply(f"{self.name}: it said to come later")
        self._budget.called()
        for attempt in range(RETRIES + 1):
            if not self._breaker.allows():
                raise NoReply(f"{self.name}: circuit open")
            reply, again = await self._call(text)
            self._breaker.note(ok=reply is not None)
            if reply is not None:
                return reply
            if not again or attempt == RETRIES or not self._budget.take():
                break
            self._count("llm_retries_total")
            await asyncio.sleep(back_off(attempt))
        raise NoReply(f"{self.name}: no reply after {attempt + 1} attempts")

    async def _insist(self, text: str) -> tuple[str, float]:
        """The mistake of retry-storm: again at once, many times, and the breaker is told of the last attempt alone."""
        if not self._breaker.allows():
            raise NoReply(f"{self.name}: circuit open")
        for attempt in range(STORM):
            if attempt:
                self._count("llm_retries_total")
            reply, _ = await self._call(text)
            if reply is not None:
                self._breaker.note(ok=True)
                return reply
        self._breaker.note(ok=False)
        raise NoReply(f"{self.name}: no reply after {STORM} attempts")

    async def _call(self, text: str) -> tuple[tuple[str, float] | None, bool]:
        """One attempt: the reply, if there was one, and whether another attempt makes sense: not after a long wait."""
        self._count("llm_calls_total")
        again = True
        timeout = aiohttp.ClientTimeout(total=None if defects.on("no-timeout") else SETTINGS.llm_timeout)
        try:
            async with self._session.post(f"{self._url}/complete", json={"text": text}, timeout=timeout) as answer:
                if answer.status == 200:
                    body = await answer.json()
                    return (str(body["text"]), float(body["confidence"])), False
                again = answer.status not in FINAL
                if answer.status == 429 and (later := _seconds(answer.headers.get("Retry-After", ""))):
                    self._not_before, again = time.monotonic() + later, False
                if answer.status in (401, 403):  # nothing but a person can help
                    print(f"ALERT {self.name} refuses the key: {answer.status}", flush=True)
        except asyncio.TimeoutError:
            again = False
        except (aiohttp.ClientError, ValueError, KeyError):
            pass
        self._count("llm_failures_total")
        return None, again

    def _count(self, counter: str) -> None:
        METRICS.counters[f'{counter}{{dependency="{self.name}"}}'] += 1


def _seconds(text: str) -> float:
    """Of Retry-After; a date, or nothing, is none."""
    return min(float(text), LONGEST_WAIT) if text.isdecimal() else 0.0


class Replies:
    """The chain: primary, fallback, a canned answer."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.providers = [
            Provider("llm-primary", SETTINGS.llm_primary, session),
            Provider("llm-fallback", SETTINGS.llm_fallback, session),
        ]
        METRICS.readers.append(self._primary)

    def _primary(self) -> dict[str, float]:
        """The first provider under names without labels, as thresholds want them."""
        retries = METRICS.counters['llm_retries_total{dependency="llm-primary"}']
        return {"primary_out": float(self.providers[0].out), "primary_retries_total": float(retries)}

    async def reply(self, text: str) -> tuple[str, str, float]:
        """Reply, provider, confidence; there is always an answer."""
        for provider in self.providers:
            try:
                reply, confidence = await provider.reply(text)
            except NoReply:
                continue
            METRICS.counters[f'replies_total{{provider="{provider.name}"}}'] += 1
            return reply, provider.name, confidence
        METRICS.counters['replies_total{provider="canned"}'] += 1
        return "We have your message and will come back to you.", "canned", 1.0
