"""All writes of a ledger in arrays: what is expected of each key, at some fifty bytes a write.

The texts of keys stay in the files and are read when they are needed; in memory a key is its hash. Two keys of the same
hash (among a million, one case in 40 million) are told apart by their texts.

What is expected of a key, of all its writes in the order in which they were sent:

=========  ==============================================================================================
there      its last acknowledged write, and nothing afterwards (or at the same time) that may have removed it
gone       an acknowledged removal, and nothing afterwards (or at the same time) that may have written it
either     a write or removal whose outcome is not known: what it does may still come, also after later ones
refused    no write was acknowledged, and none is unknown
=========  ==============================================================================================

A refusal changes nothing: "is there already" does not settle an earlier attempt that timed out.
"""

import mmap
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shakedown.ledgers.digest import hash_of
from shakedown.ledgers.entries import read_lines, text_of

__all__ = ["EITHER", "GONE", "REFUSED", "THERE", "Book", "Keys", "expected"]

THERE, GONE, EITHER, REFUSED = range(4)
_ACKNOWLEDGED, _REFUSED, _UNKNOWN = range(3)
_LETTERS = {b"a": _ACKNOWLEDGED, b"r": _REFUSED, b"u": _UNKNOWN}
_FILE_SHIFT = 40  # an offset and the number of its file in one integer


@dataclass(slots=True)
class Keys:
    """Every key once, by the time of its first write.

    Attributes:
        hashes: of the keys; sorted by `order`: `hashes[order]` ascends.
        state: what is expected: THERE, GONE, EITHER or REFUSED.
        sent, ended: of the write that decided, seconds since the run began.
        digest: of the last acknowledged value; 0 where none was declared, or several may be right.
        group: a hash; 0: of none.
        places: where the key's text stands.
    """

    hashes: np.ndarray
    state: np.ndarray
    sent: np.ndarray
    ended: np.ndarray
    digest: np.ndarray
    group: np.ndarray
    places: np.ndarray
    order: np.ndarray

    def __len__(self) -> int:
        return len(self.hashes)

    def find(self, hashes: np.ndarray) -> np.ndarray:
        """The index of each hash, -1 where it is none of them."""
        if not len(self.hashes):
            return np.full(len(hashes), -1, dtype=np.int64)
        ranks = np.searchsorted(self.hashes, hashes, sorter=self.order)
        found = self.order[np.minimum(ranks, len(self.hashes) - 1)]
        return np.where(self.hashes[found] == hashes, found, -1)


class Book:
    """The writes of one ledger, from the files of all workers.

    Attributes:
        writes: how many were sent.
        acknowledged, refused, unknown: keys, by the best that was said of any of their writes.
        removed: keys whose removal was acknowledged.
    """

    def __init__(self, folder: Path) -> None:
        self._files = sorted(folder.glob("*.ledger"))
        self._maps: dict[int, mmap.mmap] = {}
        self._hash, self._sent, self._ended = array("Q"), array("d"), array("d")
        self._outcome, self._removes = array("b"), array("b")
        self._digest, self._group, self._place = array("Q"), array("Q"), array("Q")
        for number, path in enumerate(self._files):
            self._read(number, path)
        self.acknowledged = self.refused = self.unknown = self.removed = 0
        self.writes = len(self._hash)
        self.keys = self._by_key()
        self._release()

    def _read(self, file: int, path: Path) -> None:
        begin, current = len(self._hash), 0
        for life, number, offset, fields in read_lines(path):
            if life != current:
                begin, current = len(self._hash), life
            if fields[0] == b">":
                self._hash.append(hash_of(text_of(fields[1])))
                self._sent.append(float(fields[2]))
                self._ended.append(float("inf"))
                self._outcome.append(_UNKNOWN)
                self._removes.append(len(fields) == 6)
                self._digest.append(int(fields[3], 16) if fields[3] else 0)
                self._group.append(hash_of(text_of(fields[4])) if fields[4] else 0)
                self._place.append(file << _FILE_SHIFT | offset)
            elif begin + number < len(self._hash):
                self._ended[begin + number] = float(fields[2])
                self._outcome[begin + number] = _LETTERS[fields[3]]

    # ---------------------------------------------------------------------------------------------------------- by key
    def _by_key(self) -> Keys:
        hashes = np.frombuffer(self._hash, dtype=np.uint64) if self._hash else np.zeros(0, dtype=np.uint64)
        sent, ended = np.array(self._sent), np.array(self._ended)
        outcome = np.frombuffer(self._outcome, dtype=np.int8) if self._outcome else np.zeros(0, dtype=np.int8)
        removes = np.frombuffer(self._removes, dtype=np.int8) if self._removes else np.zeros(0, dtype=np.int8)
        digest, group = np.array(self._digest, dtype=np.uint64), np.array(self._group, dtype=np.uint64)
        places = np.array(self._place, dtype=np.uint64)
        by_hash = np.lexsort((sent, hashes))
        ordered = hashes[by_hash]
        first = np.ones(len(ordered), dtype=bool)
        first[1:] = ordered[1:] != ordered[:-1]
        starts = np.flatnonzero(first)
        lead = by_hash[starts]  # of each key, its first write
        # With one write, what was said of it is what is expected.
        state = np.select(
            [outcome[lead] == _ACKNOWLEDGED, outcome[lead] == _REFUSED],
            [np.where(removes[lead] != 0, GONE, THERE), REFUSED], EITHER,
        ).astype(np.int8)  # fmt: skip
        decided, value = lead.copy(), digest[lead].copy()
        best = outcome[lead].astype(np.int8)
        sizes = np.diff(np.append(starts, len(ordered)))
        extra: list[tuple[int, int, int, int]] = []  # keys that share their hash with another one
        for index in np.flatnonzero(sizes > 1).tolist():
            rows = by_hash[starts[index] : starts[index] + sizes[index]].tolist()
            parts = self._apart(rows)
            for number, part in enumerate(parts):
                found = expected(
                    [(sent[row], ended[row], int(outcome[row]), bool(removes[row]), int(digest[row])) for row in part]
                )
                said = min((int(outcome[row]) for row in part), key=(_ACKNOWLEDGED, _UNKNOWN, _REFUSED).index)
                if number == 0:
                    lead[index], state[index], decided[index], value[index] = (
                        part[0],
                        found[0],
                        part[found[1]],
                        found[2],
                    )
                    best[index] = said
                else:
                    extra.append((part[0], found[0], part[found[1]], found[2]))
                    best = np.append(best, said).astype(np.int8)
        if extra:
            lead = np.append(lead, [row[0] for row in extra])
            state = np.append(state, np.array([row[1] for row in extra], dtype=np.int8))
            decided = np.append(decided, [row[2] for row in extra])
            value = np.append(value, np.array([row[3] for row in extra], dtype=np.uint64))
        self.acknowledged = int((best == _ACKNOWLEDGED).sum())
        self.refused = int((best == _REFUSED).sum())
        self.unknown = int((best == _UNKNOWN).sum())
        self.removed = int((state == GONE).sum())
        by_time = np.argsort(sent[decided], kind="stable")
        lead, decided = lead[by_time], decided[by_time]
        keys = hashes[decided]
        return Keys(
            keys, state[by_time], sent[decided], ended[decided], value[by_time], group[decided], places[decided],
            np.argsort(keys, kind="stable"),
        )  # fmt: skip

    def _apart(self, rows: Sequence[int]) -> list[list[int]]:
        """Writes of one hash, parted by the texts of their keys."""
        parts: dict[str, list[int]] = {}
        for row in rows:
            parts.setdefault(self.text_at(self._place[row]), []).append(row)
        return list(parts.values())

    # ----------------------------------------------------------------------------------------------------------- texts
    def text_at(self, place: int) -> str:
        """The text of a key."""
        file, offset = int(place) >> _FILE_SHIFT, int(place) & ((1 << _FILE_SHIFT) - 1)
        mapped = self._maps.get(file)
        if mapped is None:
            with self._files[file].open("rb") as source:
                mapped = self._maps[file] = mmap.mmap(source.fileno(), 0, access=mmap.ACCESS_READ)
        end = mapped.find(b"\n", offset)
        return text_of(mapped[offset:end].split(b"\t")[1])

    def text(self, index: int) -> str:
        """The text of the key with this index."""
        return self.text_at(int(self.keys.places[index]))

    def texts(self, indexes: Iterable[int]) -> Iterator[tuple[int, str]]:
        """Indexes with their texts."""
        return ((index, self.text(index)) for index in indexes)

    def _release(self) -> None:
        """Let the columns go that only `keys` was made of."""
        columns = (self._hash, self._sent, self._ended, self._outcome, self._removes, self._digest, self._group)
        for column in (*columns, self._place):
            del column[:]

    def close(self) -> None:
        """Let go of the files."""
        for mapped in self._maps.values():
            mapped.close()
        self._maps.clear()


def expected(writes: Sequence[tuple[float, float, int, bool, int]]) -> tuple[int, int, int]:
    """What is expected of a key: the state, which of its writes decided, the digest (0: not to be compared).

    Args:
        writes: (sent, ended, outcome, whether it removes, digest), by the time they were sent.
    """
    state, decided = REFUSED, 0
    known: list[tuple[float, bool]] = []  # acknowledged ones: when they ended, and whether they remove
    open_writes, open_removals, at_once = False, False, False
    digest = 0
    for number, (sent, ended, outcome, removes, value) in enumerate(writes):
        if outcome == _REFUSED:
            continue
        if outcome == _UNKNOWN:
            open_writes, open_removals = open_writes or not removes, open_removals or removes
            if state == REFUSED:
                state, decided = EITHER, number
            continue
        beside = [other for other_ended, other in known if other_ended > sent]
        state = EITHER if any(other != removes for other in beside) else GONE if removes else THERE
        decided = number
        if not removes:
            digest = value
            at_once = any(not other for other in beside)
        known.append((ended, removes))
    if (state == THERE and open_removals) or (state == GONE and open_writes):
        state = EITHER
    values = {value for _, _, outcome, removes, value in writes if outcome != _REFUSED and not removes}
    if len(values) == 1:
        return state, decided, values.pop()
    return state, decided, 0 if open_writes or at_once else digest  # 0: which of the values came last is not known
