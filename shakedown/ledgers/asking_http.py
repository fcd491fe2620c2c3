"""A ledger read back over HTTP."""

import json
import math
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass

import httpx

from shakedown.ledgers.asking import MOST_PAGES, Found, Item, Unread, digest_in, position_of
from shakedown.plan.checks import Checks, compile_checks
from shakedown.plan.extracts import compile_path, is_absent, json_at
from shakedown.plan.ledgers import LedgerListing, LedgerRead
from shakedown.plan.probes import dotted
from shakedown.plan.templates import environment
from shakedown.services import Address

__all__ = ["HttpAsker"]

SERVER_ERROR = 500
NOT_FOUND, GONE = 404, 410
Take = Callable[[object], object]


@dataclass(slots=True)
class _Answer:
    """An httpx answer in the shape that checks look at."""

    status: int
    headers: dict[str, str]
    body: bytes
    latency: float
    cookies: Sequence[str] = ()


class HttpAsker:
    """Asks by GET."""

    def __init__(self, way: LedgerRead | LedgerListing, address: Address | None, connections: int) -> None:
        self._way = way
        self._path = environment().from_string(way.get or "").render
        self._checks: Checks = compile_checks(way.checks if isinstance(way, LedgerRead) else ["status in 200..299"])
        self._value = _taker(way.value)
        self._position = _taker(way.position) if way.position is not None else None
        limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
        self._client = httpx.AsyncClient(
            base_url=address.url if address is not None else "", timeout=way.timeout, limits=limits, trust_env=False
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _get(self, path: str) -> _Answer:
        begun = time.monotonic()
        try:
            response = await self._client.get(path)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Unread(f"{type(error).__name__}: {error}".rstrip(": ")) from error
        if response.status_code >= SERVER_ERROR:
            raise Unread(f"HTTP {response.status_code}")
        headers = {key.lower(): value for key, value in response.headers.items()}
        return _Answer(response.status_code, headers, response.content, time.monotonic() - begun)

    # --------------------------------------------------------------------------------------------------------- one key
    async def one(self, key: str) -> Found:
        """Look for a key."""
        assert isinstance(self._way, LedgerRead)  # noqa: S101 - who reads by key has a way to
        try:
            answer = await self._get(self._path(key=key))
        except Unread as problem:
            return Found(None, str(problem))
        wrong = self._checks.failed(answer)
        success = 200 <= answer.status < 300
        if wrong is not None:
            if not (success or answer.status in (NOT_FOUND, GONE)):
                return Found(None, f"HTTP {answer.status}")
            return Found(0, f"HTTP {answer.status}: `{wrong}` does not hold")
        if self._way.copies is None and self._way.value in (None, "body") and self._position is None:
            return self._with(Found(1, "found"), answer.body, None)
        try:
            document = json.loads(answer.body)
        except ValueError:
            return Found(0, "the answer is not JSON")
        return self._with(self._count(document), answer.body, document)

    def _count(self, document: object) -> Found:
        path = self._way.copies if isinstance(self._way, LedgerRead) else None
        if path is None:
            return Found(1, "found")
        value = json_at(document, path.removeprefix("json.").split("."))
        if is_absent(value):
            return Found(0, f"the answer has no `{path}`")
        if isinstance(value, list):
            return Found(len(value), f"{len(value)} in `{path}`")
        if isinstance(value, int | float) and math.isfinite(value):
            return Found(int(value), f"`{path}` is {value!r}")
        return Found(1, f"`{path}` is {value!r:.80}")

    def _with(self, found: Found, body: bytes, document: object) -> Found:
        """What was found, with its value and its place in the order."""
        if found.copies:
            if self._way.value is not None:
                found.digest = digest_in(body if self._way.value == "body" else self._value(document))
            if self._position is not None:
                found.position = position_of(self._position(document))
        return found

    # ------------------------------------------------------------------------------------------------------ everything
    async def pages(self) -> AsyncIterator[list[Item]]:
        """Everything that is there, page by page."""
        way = self._way
        assert isinstance(way, LedgerListing)  # noqa: S101 - who lists has a way to
        items, key, following = _taker(way.items or None, whole=True), _taker(way.key), _taker(way.next)
        cursor: object = ""
        offset, before, single = 0, "", "{" not in (way.get or "")
        seen: set[str] = set()
        for page in range(MOST_PAGES):
            path = self._path(page=page, offset=offset, cursor=cursor)
            if path in seen:
                raise Unread(f"the listing goes in circles: {path[:200]} was asked for twice")
            seen.add(path)
            answer = await self._get(path)
            if (wrong := self._checks.failed(answer)) is not None:
                raise Unread(f"HTTP {answer.status} to {path[:200]}: `{wrong}` does not hold")
            try:
                document = json.loads(answer.body)
            except ValueError:
                raise Unread(f"the answer to {path[:200]} is not JSON") from None
            listed = items(document)
            if not isinstance(listed, list):
                raise Unread(f"the answer to {path[:200]} has no list at `{way.items or 'its root'}`")
            if listed:
                yield [self._item(entry, key, offset + number) for number, entry in enumerate(listed)]
            offset += len(listed)
            if way.next is not None:
                cursor = following(document)
                if cursor in (None, "", False):
                    return
            elif not listed or single:
                return
            elif (same := json.dumps(listed[0], sort_keys=True, default=str)) == before:
                raise Unread(
                    f"each page begins with the same item: {path[:200]} takes no notice of `page` and `offset`"
                )
            else:
                before = same
        raise Unread(f"the listing does not end within {MOST_PAGES} pages")

    def _item(self, entry: object, key: Take, number: int) -> Item:
        way = self._way
        found = key(entry) if isinstance(entry, Mapping) else entry
        if found is None:
            raise Unread(f"an item of the listing has no key: {str(entry)[:200]}")
        ordered = isinstance(way, LedgerListing) and way.ordered
        return Item(
            str(found), digest_in(self._value(entry)) if way.value is not None else 0,
            float(number) if ordered else position_of(self._position(entry)) if self._position else math.nan,
        )  # fmt: skip


def _taker(path: str | None, *, whole: bool = False) -> Take:
    """What takes a value from a document; None where there is none, or more than one.

    Args:
        whole: without a path, the document itself.
    """
    if path in (None, "body"):
        return (lambda document: document) if whole else (lambda _: None)
    find = compile_path(dotted(path or ""))

    def take(document: object) -> object:
        found = find(document)
        return found[0] if len(found) == 1 else None

    return take
