"""What each key's expectation and what was seen of it come to. docs/ledgers.md has the rules in words."""

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from shakedown.ledgers.book import EITHER, GONE, REFUSED, THERE, Book, Keys
from shakedown.ledgers.sight import UNREAD, WRONG, Sight
from shakedown.records.ledger import LedgerFault, LedgerResult

__all__ = ["judge", "out_of_order"]


@dataclass(frozen=True, slots=True)
class _Wrong:
    kind: str
    index: int
    words: str


def judge(
    result: LedgerResult, book: Book, sight: Sight, moment: Callable[[float], str], seen_at: float
) -> Iterator[LedgerFault]:
    """Count everything into the result, and give every fault, by the time of its write; what was never sent comes last.

    Args:
        moment: where an instant lies among the faults, in words.
        seen_at: when strangers were seen.
    """
    keys, copies = book.keys, sight.copies
    asked = copies != UNREAD
    must, gone, either, refused = (keys.state == state for state in (THERE, GONE, EITHER, REFUSED))
    wanted = must | gone | either
    result.acknowledged, result.refused, result.unknown = book.acknowledged, book.refused, book.unknown
    result.removed = book.removed
    result.checked = int((asked & wanted).sum())
    result.unreadable = int((~asked & wanted).sum())
    result.unknown_found = int((either & (copies > 0)).sum())
    late = out_of_order(keys, sight)
    masks = {
        "lost": must & (copies == 0),
        "duplicated": (must | either) & (copies > 1),
        "corrupted": (must | either) & (copies > 0) & (sight.value == WRONG),
        "resurrected": gone & (copies > 0),
        "unwanted": refused & (copies > 0),
    }
    for kind, mask in masks.items():
        setattr(result, kind, int(mask.sum()))
    result.out_of_order = len(late)
    result.phantom = len(sight.strangers) + sight.beyond
    rows = np.concatenate([np.flatnonzero(mask) for mask in masks.values()] + [np.array(list(late), dtype=np.int64)])
    kinds = np.repeat(np.arange(len(masks) + 1), [*(int(mask.sum()) for mask in masks.values()), len(late)])
    names = [*masks, "out_of_order"]
    for row in np.lexsort((kinds, keys.sent[rows])).tolist() if len(rows) else []:
        index, kind = int(rows[row]), names[int(kinds[row])]
        at = float(keys.sent[index])
        detail = _words(kind, book, sight, index, late)
        yield LedgerFault(book.text(index), kind, round(at, 4), detail, moment(at))
    for text in sight.strangers.values():
        yield LedgerFault(text, "phantom", round(seen_at, 4), "it is there and was never sent", "")


def _words(kind: str, book: Book, sight: Sight, index: int, late: dict[int, int]) -> str:
    detail, copies = sight.detail(index), int(sight.copies[index])
    if kind == "lost":
        return detail or "the listing does not have it"
    if kind == "duplicated":
        return f"{copies} copies"
    if kind == "corrupted":
        return "its value is not the one that was written"
    if kind == "resurrected":
        return "its removal was acknowledged, and it is there"
    if kind == "unwanted":
        return "it was refused, and is there"
    return f"stored before {book.text(late[index])!r}, which was acknowledged before this one was sent"


def out_of_order(keys: Keys, sight: Sight) -> dict[int, int]:
    """Keys stored before another of their group that was acknowledged before they were sent; with that other one."""
    usable = np.flatnonzero((keys.group != 0) & (keys.state == THERE) & (sight.copies > 0) & ~np.isnan(sight.position))
    found: dict[int, int] = {}
    by_group = usable[np.lexsort((keys.sent[usable], keys.group[usable]))]
    current: int | None = None
    ended: list[tuple[float, float, int]] = []  # of the group: what may end yet
    highest: tuple[float, int] | None = None  # and the last in the order of what has ended
    for index in by_group.tolist():
        group = int(keys.group[index])
        if group != current:
            current, ended, highest = group, [], None
        sent, position = float(keys.sent[index]), float(sight.position[index])
        while ended and ended[0][0] <= sent:
            _, place, other = heapq.heappop(ended)
            if highest is None or place > highest[0]:
                highest = (place, other)
        if highest is not None and position < highest[0]:
            found[index] = highest[1]
        heapq.heappush(ended, (float(keys.ended[index]), position, index))
    return found


def unplaced(keys: Keys, sight: Sight) -> int:
    """Keys whose order is declared, that were found, and of which nobody said where they were stored."""
    return int(((keys.group != 0) & (keys.state == THERE) & (sight.copies > 0) & np.isnan(sight.position)).sum())


def uncompared(keys: Keys, sight: Sight) -> int:
    """Keys with a value that were found, and whose value was not."""
    return int(((keys.digest != 0) & (keys.state == THERE) & (sight.copies > 0) & (sight.value == 0)).sum())
