"""What was seen of each key when a ledger was read back."""

from dataclasses import dataclass, field

import numpy as np

from shakedown.ledgers.asking import Found, Item
from shakedown.ledgers.book import Book
from shakedown.ledgers.digest import hash_of

__all__ = ["RIGHT", "UNREAD", "WRONG", "Sight"]

UNREAD = -1
MOST_STRANGERS = 100_000  # keys that were never sent; beyond, they are only counted
UNCOMPARED, RIGHT, WRONG = range(3)


@dataclass(slots=True)
class Sight:
    """One look at everything.

    Attributes:
        copies: of each key of the book; UNREAD where the system did not say.
        value: whether what was found is what was written: not compared, RIGHT or WRONG.
        position: in the order of storing; nan where it is not known.
        strangers: what is there and was never sent, by its hash: how often.
        beyond: copies of further strangers, of which there are too many to keep.
    """

    copies: np.ndarray
    value: np.ndarray
    position: np.ndarray
    strangers: dict[int, str] = field(default_factory=dict)
    beyond: int = 0
    _details: np.ndarray = field(init=False)
    _words: list[str] = field(default_factory=lambda: [""])
    _known: dict[str, int] = field(default_factory=lambda: {"": 0})

    def __post_init__(self) -> None:
        self._details = np.zeros(len(self.copies), dtype=np.int32)

    @classmethod
    def of(cls, count: int, copies: int) -> "Sight":
        """Nothing seen yet: no copies, or nothing read."""
        return cls(np.full(count, copies, dtype=np.int32), np.zeros(count, dtype=np.int8), np.full(count, np.nan))

    def detail(self, index: int) -> str:
        """What was seen of a key, in words."""
        return self._words[int(self._details[index])]

    def note(self, index: int, found: Found, written: int) -> None:
        """A key was looked for by itself."""
        self.copies[index] = UNREAD if found.copies is None else found.copies
        self.value[index] = _compared(written, found.digest)
        self.position[index] = found.position
        number = self._known.get(found.detail)
        if number is None:
            number = self._known[found.detail] = len(self._words)
            self._words.append(found.detail)
        self._details[index] = number

    def add(self, book: Book, items: list[Item], earlier: np.ndarray) -> None:
        """A page of a listing.

        Args:
            earlier: hashes, ascending, of what was there before the run: none of its concern.
        """
        hashes = np.fromiter((hash_of(item.key) for item in items), dtype=np.uint64, count=len(items))
        for item, index, number in zip(items, book.keys.find(hashes).tolist(), hashes.tolist(), strict=True):
            if index < 0:
                at = int(np.searchsorted(earlier, np.uint64(number))) if len(earlier) else 0
                if at < len(earlier) and int(earlier[at]) == number:
                    continue
                if number in self.strangers or len(self.strangers) < MOST_STRANGERS:
                    self.strangers[number] = item.key
                else:
                    self.beyond += 1
                continue
            self.copies[index] += 1
            compared = _compared(int(book.keys.digest[index]), item.digest)
            self.value[index] = max(int(self.value[index]), compared)
            if np.isnan(self.position[index]):
                self.position[index] = item.position

    def confirmed_by(self, later: "Sight") -> "Sight":
        """What both looks saw: a listing that is read while it changes may show a thing twice, or one half stored."""
        later.copies = np.where(
            (self.copies > 0) & (later.copies > 0), np.minimum(self.copies, later.copies), later.copies
        ).astype(np.int32)
        later.value = np.minimum(self.value, later.value)
        later.strangers = {key: text for key, text in later.strangers.items() if key in self.strangers}
        later.beyond = min(self.beyond, later.beyond)
        return later


def _compared(written: int, seen: int) -> int:
    if not written or not seen:
        return UNCOMPARED
    return RIGHT if written == seen else WRONG
