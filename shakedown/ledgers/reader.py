"""Every acknowledged write read back: lost, duplicated, or where it should be.

A key that cannot be read because the system does not answer is *not* lost: it is unreadable, and a ledger with
unreadable keys cannot be judged. Lost is what the system itself says it does not have: "not found", or a success
without it. A limit on requests, a refused log-in or a redirect says nothing about the key.
"""

import asyncio
import json
import math
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import httpx

from shakedown.clock import RunClock
from shakedown.plan.checks import Checks, compile_checks, is_absent, json_at
from shakedown.plan.model import Ledger
from shakedown.plan.templates import environment
from shakedown.records.ledger import Acknowledgement, LedgerEntry, LedgerFault, LedgerResult

__all__ = ["read_back"]

CONCURRENCY = 16
LISTED = 100
SERVER_ERROR = 500
NOT_FOUND, GONE = 404, 410
GIVE_UP = 48  # reads in a row without an answer, after `within`: the rest would each wait for its time-out too
_WEIGHT = {Acknowledgement.REFUSED: 0, Acknowledgement.UNKNOWN: 1, Acknowledgement.ACKNOWLEDGED: 2}
RETRY_AFTER = 0.25


@dataclass(slots=True)
class _Answer:
    """An httpx answer in the shape that checks look at."""

    status: int
    headers: dict[str, str]
    body: bytes
    latency: float


@dataclass(slots=True)
class _Found:
    copies: int | None  # None: the read itself failed
    detail: str


def read_back(
    name: str, ledger: Ledger, entries: Iterable[LedgerEntry], base_url: str, clock: RunClock, stop: threading.Event,
    faults_file: Path | None = None,
) -> LedgerResult:  # fmt: skip
    """Read a ledger back.

    Args:
        entries: every write; a key may stand in several, as a retried write does.
        base_url: of the service that is asked.
        stop: ends the reading early; then the ledger is not judged.
        faults_file: gets every fault as a line of JSON; the result lists the first hundred.
    """
    result = LedgerResult(name, start=clock.now())
    writes: dict[str, LedgerEntry] = {}
    for entry in entries:
        known = writes.get(entry.key)
        # Once acknowledged, always expected; once unknown, a later refusal ("is there already") does not settle it.
        if known is None or _WEIGHT[entry.outcome] > _WEIGHT[known.outcome]:
            writes[entry.key] = entry
    for entry in writes.values():
        result.acknowledged += entry.outcome is Acknowledgement.ACKNOWLEDGED
        result.refused += entry.outcome is Acknowledgement.REFUSED
        result.unknown += entry.outcome is Acknowledgement.UNKNOWN
    if not result.acknowledged:
        result.problem = "no write was acknowledged: there is nothing to find again"
        result.end = clock.now()
        return result
    wanted = [entry for entry in writes.values() if entry.outcome is not Acknowledgement.REFUSED]
    found = asyncio.run(_read_all(ledger, wanted, base_url, stop))
    faults = _judge(result, wanted, found)
    result.faults = faults[:LISTED]
    if faults_file is not None and faults:
        faults_file.parent.mkdir(parents=True, exist_ok=True)
        with faults_file.open("w", encoding="utf-8") as file:
            for fault in faults:
                file.write(
                    json.dumps({"key": fault.key, "kind": fault.kind, "sent_at": fault.sent_at, "detail": fault.detail})
                    + "\n"
                )
    if stop.is_set():
        result.problem = "the reading was interrupted"
    elif result.unreadable:
        example = next((item.detail for item in found.values() if item.copies is None), "no answer")
        result.problem = f"{result.unreadable} keys could not be read at all: {example}"
    result.end = clock.now()
    return result


def _judge(result: LedgerResult, wanted: list[LedgerEntry], found: dict[str, _Found]) -> list[LedgerFault]:
    faults: list[LedgerFault] = []
    for entry in wanted:
        state = found.get(entry.key)
        if state is None or state.copies is None:
            result.unreadable += 1
            continue
        result.checked += 1
        if state.copies > 1:
            result.duplicated += 1
            faults.append(LedgerFault(entry.key, "duplicated", entry.sent_at, f"{state.copies} copies"))
        elif entry.outcome is Acknowledgement.UNKNOWN:
            result.unknown_found += state.copies
        elif state.copies == 0:
            result.lost += 1
            faults.append(LedgerFault(entry.key, "lost", entry.sent_at, state.detail))
    return faults


async def _read_all(
    ledger: Ledger, wanted: list[LedgerEntry], base_url: str, stop: threading.Event
) -> dict[str, _Found]:
    template = environment().from_string(ledger.read.get)
    checks = compile_checks(ledger.read.checks)
    until = time.monotonic() + ledger.within
    found: dict[str, _Found] = {}
    work = iter(wanted)
    unanswered = 0

    async def reader(client: httpx.AsyncClient) -> None:
        nonlocal unanswered
        for entry in work:
            if unanswered >= GIVE_UP:
                return
            path = template.render(key=entry.key)
            while not stop.is_set():
                state = await _read_one(client, path, ledger, checks)
                found[entry.key] = state
                settled = state.copies is not None and state.copies > 0
                # An unknown write that is not there is as right as one that is: no need to wait for it.
                patient = entry.outcome is Acknowledgement.ACKNOWLEDGED or state.copies is None
                late = time.monotonic() > until
                unanswered = unanswered + 1 if late and state.copies is None else 0
                if settled or not patient or late:
                    break
                await asyncio.sleep(RETRY_AFTER)

    limits = httpx.Limits(max_connections=CONCURRENCY, max_keepalive_connections=CONCURRENCY)
    async with httpx.AsyncClient(
        base_url=base_url, timeout=ledger.read.timeout, limits=limits, trust_env=False
    ) as client:
        await asyncio.gather(*(reader(client) for _ in range(CONCURRENCY)))
    return found


async def _read_one(client: httpx.AsyncClient, path: str, ledger: Ledger, checks: Checks) -> _Found:
    begun = time.monotonic()
    try:
        response = await client.get(path)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return _Found(None, f"{type(error).__name__}: {error}")
    if response.status_code >= SERVER_ERROR:
        return _Found(None, f"HTTP {response.status_code}")
    headers = {key.lower(): value for key, value in response.headers.items()}
    answer = _Answer(response.status_code, headers, response.content, time.monotonic() - begun)
    wrong = checks.failed(answer)
    if wrong is not None:
        if not (response.is_success or response.status_code in (NOT_FOUND, GONE)):
            return _Found(None, f"HTTP {response.status_code}")
        return _Found(0, f"HTTP {response.status_code}: `{wrong}` does not hold")
    if ledger.read.copies is None:
        return _Found(1, "found")
    try:
        value = json_at(response.json(), ledger.read.copies.removeprefix("json.").split("."))
    except ValueError:
        return _Found(0, "the answer is not JSON")
    if is_absent(value):
        return _Found(0, f"the answer has no `{ledger.read.copies}`")
    if isinstance(value, list):
        return _Found(len(value), f"{len(value)} in `{ledger.read.copies}`")
    copies = int(value) if isinstance(value, int | float) and math.isfinite(value) else 1
    return _Found(copies, f"`{ledger.read.copies}` is {value!r}")
