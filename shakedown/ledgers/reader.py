"""Every write read back: by key, by a listing, or by a listing first and then by key what it lacks.

Read again and again until everything is as it should be or the ledger's time is up, because a system that recovers may
still be writing. What a listing shows too much of counts only if the next one shows it too.

A key that cannot be read because the system does not answer is *not* lost: it is unreadable, and a ledger with
unreadable keys cannot be judged.
"""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from shakedown.clock import RunClock
from shakedown.errors import LoadError
from shakedown.ledgers.asking import Asker, Found, Item, Unread, asker_of
from shakedown.ledgers.book import EITHER, GONE, REFUSED, THERE, Book
from shakedown.ledgers.digest import hash_of
from shakedown.ledgers.judging import judge, uncompared, unplaced
from shakedown.ledgers.sight import UNREAD, WRONG, Sight
from shakedown.plan.ledgers import Ledger, LedgerListing
from shakedown.records.ledger import LedgerResult
from shakedown.services import Address

__all__ = ["LISTED", "Places", "list_before", "read_back"]

CONCURRENCY = 16
LISTED = 100
GIVE_UP = 48  # reads in a row without an answer, after `within`: the rest would each wait for its time-out too
RETRY_AFTER = 0.25
LONGEST_PAUSE = 5.0
Places = Mapping[str, Address | None]


def read_back(
    name: str, ledger: Ledger, folder: Path, places: Places, clock: RunClock, stop: threading.Event, *,
    moment: Callable[[float], str] = lambda _: "", redact: Callable[[str], str] = str, faults: Path | None = None,
) -> LedgerResult:  # fmt: skip
    """Read a ledger back.

    Args:
        folder: where its notes are.
        faults: the file that gets every fault; by default `NAME.faults.jsonl` beside the folder.
        places: the addresses of its targets, by `read` and `list`.
        stop: ends the reading early; then the ledger is not judged.
        moment: where an instant lies among the faults, in words.
        redact: takes secrets out of what is told.
    """
    result = LedgerResult(name, start=clock.now())
    book = Book(folder)
    with closing(book):
        if not book.acknowledged:
            result.refused, result.unknown = book.refused, book.unknown
            result.problem = "no write was acknowledged: there is nothing to find again"
            result.end = clock.now()
            return result
        reading = _Reading(name, ledger, book, places, stop, _earlier(folder))
        try:
            asyncio.run(reading.run())
        except LoadError as error:
            reading.problem = str(error)
        sight = reading.sight
        result.rounds = max(reading.rounds, 1)
        path = faults or folder.parent / f"{name}.faults.jsonl"
        _write_faults(result, book, sight, path, moment, redact, clock.now())
        if stop.is_set():
            result.problem = "the reading was interrupted"
        elif reading.problem:
            result.problem = redact(reading.problem)
        elif result.unreadable:
            unread = int(np.flatnonzero((sight.copies == UNREAD) & (book.keys.state != REFUSED))[0])
            result.problem = redact(
                f"{result.unreadable} keys could not be read at all: {sight.detail(unread) or 'no answer'}"
            )
        else:
            result.problem = _doubt(book, sight)
    result.end = clock.now()
    return result


def _doubt(book: Book, sight: Sight) -> str | None:
    """What was declared and could not be looked at."""
    if missing := unplaced(book.keys, sight):
        return f"of {missing} keys the place in the order could not be read"
    if missing := uncompared(book.keys, sight):
        return f"of {missing} keys the value could not be read"
    return None


def _write_faults(
    result: LedgerResult, book: Book, sight: Sight, path: Path, moment: Callable[[float], str],
    redact: Callable[[str], str], now: float,
) -> None:  # fmt: skip
    """All faults into a file, as they come; the first hundred into the result."""
    path.unlink(missing_ok=True)
    file = None
    try:
        for fault in judge(result, book, sight, moment, now):
            if len(result.faults) < LISTED:
                result.faults.append(fault)
            if file is None:
                file = path.open("w", encoding="utf-8")
                result.file = f"{path.parent.name}/{path.name}"
            file.write(redact(json.dumps(asdict(fault))) + "\n")
    finally:
        if file is not None:
            file.close()


# ---------------------------------------------------------------------------------------------------- before the run
def list_before(ledger: Ledger, folder: Path, places: Places, stop: threading.Event) -> str | None:
    """Note what is there before anything is written, so that it is not taken for a phantom; why it cannot be listed."""
    listing = ledger.list_
    if listing is None:
        return None

    async def read() -> np.ndarray:
        asker = asker_of(listing, places.get("list"), 1)
        found: list[np.ndarray] = []
        try:
            async for page in asker.pages():
                if stop.is_set():
                    break
                page_ = _matching(listing, page)
                found.append(np.fromiter((hash_of(item.key) for item in page_), dtype=np.uint64, count=len(page_)))
        finally:
            await asker.close()
        return np.unique(np.concatenate(found)) if found else np.zeros(0, dtype=np.uint64)

    try:
        hashes = asyncio.run(read())
    except (Unread, LoadError) as problem:
        return str(problem)
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "before.npy", hashes, allow_pickle=False)
    return None


def _earlier(folder: Path) -> np.ndarray:
    path = folder / "before.npy"
    return np.load(path, allow_pickle=False) if path.is_file() else np.zeros(0, dtype=np.uint64)


def _matching(listing: LedgerListing, items: list[Item]) -> list[Item]:
    """The items that are this ledger's, each with its key."""
    if listing.match is None:
        return items
    import re  # noqa: PLC0415 - used here alone

    pattern, found = re.compile(listing.match), []
    for item in items:
        match = pattern.search(item.key)
        if match is not None:
            item.key = match[1] if pattern.groups else match[0]
            found.append(item)
    return found


# ---------------------------------------------------------------------------------------------------------- the reading
@dataclass(slots=True)
class _Reading:
    """One ledger being read, again and again until it is as it should be."""

    name: str
    ledger: Ledger
    book: Book
    places: Places
    stop: threading.Event
    earlier: np.ndarray
    sight: Sight = None  # type: ignore[assignment]  # set at once
    rounds: int = 0
    problem: str = ""
    _until: float = 0.0

    def __post_init__(self) -> None:
        self.sight = Sight.of(len(self.book.keys), UNREAD)
        self._until = time.monotonic() + self.ledger.within

    async def run(self) -> None:
        """Read.

        Raises:
            LoadError: there is no way to ask.
        """
        ways = {key: asker_of(way, self.places.get(key), CONCURRENCY) for key, way in self.ledger.ways.items()}
        try:
            if "list" in ways:
                await self._by_listing(ways["list"], ways.get("read"))
            else:
                states = (REFUSED,) if self.ledger.unwanted is None else ()
                wanted = np.flatnonzero(~np.isin(self.book.keys.state, states)).tolist()
                self.rounds = 1
                await self._by_key(ways["read"], wanted, patient=True)
        finally:
            for asker in ways.values():
                await asker.close()

    @property
    def _late(self) -> bool:
        return self.stop.is_set() or time.monotonic() > self._until

    async def _by_listing(self, lister: Asker, one: Asker | None) -> None:
        before: Sight | None = None
        pause = RETRY_AFTER
        while True:
            self.rounds += 1
            try:
                now = await self._list(lister)
            except Unread as problem:
                self.problem = f"the listing failed: {problem}"
                if self._late:
                    return
            else:
                self.problem = ""
                self.sight = now if before is None else before.confirmed_by(now)
                again = before is None and self._too_much(now)  # it must be seen twice
                before = now
                if one is not None and (missing := self._missing()):
                    await self._by_key(one, missing, patient=False)
                if not again and (self._late or not (self._missing() or self._too_much(self.sight))):
                    return
            if self.stop.is_set():
                return
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _list(self, lister: Asker) -> Sight:
        sight = Sight.of(len(self.book.keys), 0)
        listing = self.ledger.list_
        assert listing is not None  # noqa: S101 - only then it is asked
        async for page in lister.pages():
            sight.add(self.book, _matching(listing, page), self.earlier)
            if self.stop.is_set():
                break
        return sight

    def _missing(self) -> list[int]:
        lacking = (self.book.keys.state == THERE) & (self.sight.copies == 0)
        return np.flatnonzero(lacking).tolist()

    def _too_much(self, sight: Sight) -> bool:
        gone = (self.book.keys.state != THERE) & (self.book.keys.state != EITHER)
        return bool(
            sight.strangers or sight.beyond or (sight.copies > 1).any() or (sight.value == WRONG).any()
            or (gone & (sight.copies > 0)).any()
        )  # fmt: skip

    # --------------------------------------------------------------------------------------------------------- by key
    async def _by_key(self, asker: Asker, indexes: Iterable[int], *, patient: bool) -> None:
        """Look for each key, several at a time.

        Args:
            patient: what is missing is asked for until it comes or the time is up, each by itself.
        """
        keys, work, unanswered = self.book.keys, iter(indexes), 0

        async def reader() -> None:
            nonlocal unanswered
            for index in work:
                if unanswered >= GIVE_UP:
                    return
                key = self.book.text(index)
                while not self.stop.is_set():
                    found = await asker.one(key)
                    self.sight.note(index, found, int(keys.digest[index]))
                    late = self._late
                    unanswered = unanswered + 1 if late and found.copies is None else 0
                    if self._right(index, found) or late or not (patient or found.copies is None):
                        break
                    await asyncio.sleep(RETRY_AFTER)

        await asyncio.gather(*(reader() for _ in range(CONCURRENCY)))

    def _right(self, index: int, found: Found) -> bool:
        """Whether a key is as it should be. Where its write's outcome is unknown anything is: no need to wait."""
        state = self.book.keys.state[index]
        if found.copies is None:
            return False
        if state == THERE:
            return found.copies > 0 and self.sight.value[index] != WRONG
        return state != GONE or found.copies == 0
