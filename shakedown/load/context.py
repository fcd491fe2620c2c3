"""What the templates of one worker can use: rows of data, functions, and the randomness behind them.

What an iteration draws follows from the load's seed and the iteration's number alone: not from when answers came, nor from
which worker it fell to. So the same seed gives the same requests, however many workers share them.
"""

import csv
import json
import math
import random
import string
import time
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from shakedown.errors import LoadError
from shakedown.load.spec import LoadSpec
from shakedown.plan.templates import FUNCTIONS, environment

__all__ = ["Context", "Stream", "read_rows", "shuffled"]

_MASK = (1 << 64) - 1
_STEP, _ITERATION, _PART = 0x9E3779B97F4A7C15, 0xD1342543DE82EF95, 0xA0761D6478BD642F
LONGEST_TEXT = 1_000_000
_WORDS = [
    "the",
    "of",
    "and",
    "to",
    "in",
    "is",
    "that",
    "for",
    "it",
    "as",
    "was",
    "with",
    "be",
    "by",
    "on",
    "not",
    "he",
    "his",
    "but",
    "at",
    "are",
    "this",
    "have",
    "from",
    "or",
    "had",
    "an",
    "they",
    "which",
    "one",
    "you",
    "were",
    "all",
    "her",
    "she",
    "there",
    "would",
    "their",
    "we",
    "him",
    "been",
    "has",
    "when",
    "who",
    "will",
    "no",
    "more",
    "if",
    "out",
    "so",
    "up",
    "said",
    "what",
    "its",
    "about",
    "than",
    "into",
    "them",
    "can",
    "only",
    "other",
    "time",
    "new",
    "some",
    "could",
    "these",
    "two",
    "may",
    "first",
    "then",
    "do",
    "any",
    "like",
    "my",
    "now",
    "over",
    "such",
    "our",
    "man",
    "me",
    "even",
    "most",
    "made",
    "after",
    "also",
    "did",
    "many",
    "off",
    "before",
    "must",
    "well",
    "back",
    "through",
    "years",
    "much",
    "where",
    "your",
    "way",
    "down",
    "should",
    "because",
    "long",
    "each",
    "just",
    "state",
    "those",
    "people",
    "too",
    "how",
    "little",
    "good",
    "world",
    "very",
    "still",
    "see",
    "work",
    "life",
    "being",
    "under",
    "never",
    "day",
    "same",
    "another",
    "know",
    "while",
    "last",
    "might",
    "great",
    "old",
    "year",
    "come",
    "since",
    "against",
    "go",
    "came",
    "right",
    "used",
    "take",
    "three",
    "small",
    "set",
    "every",
    "own",
    "price",
]
_BOOK = 1 << 16


class Stream(random.Random):
    """Random numbers whose seeding costs next to nothing (SplitMix64: Steele, Lea and Flood 2014)."""

    def __init__(self, start: int = 0) -> None:
        super().__init__(0)
        self._state = start & _MASK

    def restart(self, start: int) -> None:
        """Begin the sequence that belongs to a number."""
        self._state = start & _MASK

    def _next(self) -> int:
        self._state = (self._state + _STEP) & _MASK
        return _mixed(self._state)

    def random(self) -> float:
        """A number in [0, 1)."""
        return (self._next() >> 11) * 2.0**-53

    def getrandbits(self, k: int, /) -> int:
        """A number of k random bits."""
        if k <= 64:
            return self._next() >> (64 - k) if k > 0 else 0
        bits = 0
        for _ in range(-(-k // 64)):
            bits = (bits << 64) | self._next()
        return bits >> (-k % 64)


class Context:
    """The names that templates use.

    Attributes:
        random: for what belongs to no iteration, such as the pauses between them.
    """

    def __init__(self, spec: LoadSpec, shard: int, rows: Sequence[dict[str, object]]) -> None:
        self.random = random.Random(spec.seed * 1000 + shard)  # noqa: S311 - repeatable data, not cryptography
        self._seed = spec.seed
        self._shard, self._shards = shard, spec.workers
        self._drawn = Stream()
        self._data = spec.work.data
        self._rows = rows
        self._order = self._data.order if self._data else "sequential"
        self._recycles = self._data.recycles if self._data else True
        self._functions: dict[str, Any] = {
            **environment().globals, **FUNCTIONS, **_functions(self._drawn),
        }  # fmt: skip

    def start(self, iteration: int, part: int) -> Stream:
        """The randomness of one part of an iteration (a request, a choice, a pause), from its beginning."""
        self._drawn.restart(self._place(iteration, part))
        return self._drawn

    def _place(self, iteration: int, part: int) -> int:
        return _mixed((self._seed * _STEP + iteration * _ITERATION + part * _PART) & _MASK)

    def names(self, iteration: int, vu: int) -> dict[str, object]:
        """The names of one iteration.

        Args:
            vu: the user's number within this worker; templates see one that no user of another worker has.

        Raises:
            LoadError: the rows are used up.
        """
        user = vu * self._shards + self._shard
        names = {**self._functions, "iteration": iteration, "vu": user}
        if self._rows:
            names["row"] = self._row(iteration, user)
        self.start(iteration, 0)
        return names

    def _row(self, iteration: int, user: int) -> dict[str, object]:
        rows, number = self._rows, len(self._rows)
        if self._order == "random":
            return rows[self.start(iteration, -1).randrange(number)]
        turn = user if self._order == "unique" else iteration
        if turn >= number and not self._recycles:
            who = "users, each with one of its own" if self._order == "unique" else "iterations"
            file = self._data.file if self._data else ""
            raise LoadError(
                f"{file} has no row left: {number} rows, and more {who}",
                hint="give it more rows, or say `exhausted: recycle`",
            )
        around, turn = divmod(turn, number)
        return rows[shuffled(turn, number, self._seed + around) if self._order == "shuffled" else turn]

    def draw(self, weights: Sequence[float], iteration: int | None = None, choice: int = 1) -> int:
        """An index drawn by weight; for an iteration, its `choice`th is always the same."""
        draw = self.random if iteration is None else self.start(iteration, -1 - choice)
        return draw.choices(range(len(weights)), weights)[0]


def _mixed(z: int) -> int:
    """64 bits that look nothing like those of z (the finaliser of SplitMix64)."""
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return z ^ (z >> 31)


def shuffled(turn: int, number: int, seed: int) -> int:
    """Which of `number` things comes at a turn of a shuffled order, without making the order.

    A Feistel network permutes the numbers below a power of four; what falls beyond `number` is sent through again
    (Black and Rogaway 2002). So a million rows are shuffled anew without holding up the loop, alike in every worker.
    """
    half = max(((number - 1).bit_length() + 1) // 2, 1)
    mask = (1 << half) - 1
    while True:
        left, right = turn >> half, turn & mask
        for key in range(6):
            left, right = right, left ^ (_mixed((seed * _PART + key * _ITERATION + right * _STEP) & _MASK) & mask)
        turn = left << half | right
        if turn < number:
            return turn


def _functions(drawn: Stream) -> dict[str, Any]:
    """The functions of templates that draw."""

    def uuid4() -> str:
        bits = drawn.getrandbits(128) & ~(0xF000 << 64 | 0xC000 << 48) | 0x4000 << 64 | 0x8000 << 48  # RFC 9562, 5.4
        text = f"{bits:032x}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

    def choice(*values: Any) -> Any:
        return drawn.choice(values[0] if len(values) == 1 else values)

    def random_string(length: int, alphabet: str = string.ascii_letters + string.digits) -> str:
        if not 0 <= length <= LONGEST_TEXT:
            raise ValueError(f"random_string: a length from 0 to {LONGEST_TEXT}, not {length}")
        return "".join(drawn.choices(alphabet, k=length))

    def text(shortest: int = 1, longest: int = 1000) -> str:
        """Words of a log-normal length: most are short, a few are long, as people write.

        The median is the geometric mean of the limits, which stand two standard deviations off (of the logarithm);
        what falls beyond them is drawn again.
        """
        if not 1 <= shortest <= longest <= LONGEST_TEXT:
            raise ValueError(f"text: 1 <= shortest <= longest <= {LONGEST_TEXT}, not {shortest}, {longest}")
        low, high = math.log(shortest), math.log(longest)
        length = shortest
        for _ in range(50):
            length = round(math.exp(drawn.normalvariate((low + high) / 2, (high - low) / 4)))
            if shortest <= length <= longest:
                break
        else:
            length = shortest
        book = _book()
        start = drawn.randrange(_BOOK)
        words = book[start : start + length]
        while len(words) < length:
            words += book[: length - len(words)]
        # A blank at either end would be lost where texts are trimmed, and the length with it.
        return words if words == words.strip() else f"a{words[1:-1]}a"[:length]

    return {
        "uuid": uuid4, "randint": drawn.randint, "uniform": drawn.uniform, "gauss": drawn.normalvariate,
        "choice": choice, "random_string": random_string, "text": text, "now": time.time,
    }  # fmt: skip


@lru_cache(maxsize=1)
def _book() -> str:
    """A long text to cut pieces from."""
    draw = random.Random(1)  # noqa: S311 - the same book for everyone
    words = " ".join(draw.choices(_WORDS, k=_BOOK // 3))
    return words[: 2 * _BOOK]


def read_rows(path: Path) -> list[dict[str, object]]:
    """Rows from CSV (with a header) or JSON lines.

    Raises:
        LoadError: the file holds no rows, or a line that is not a JSON object.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            if path.suffix.lower() in (".jsonl", ".ndjson"):
                rows: list[dict[str, object]] = [json.loads(line) for line in file if line.strip()]
            else:
                rows = [dict(row) for row in csv.DictReader(file)]
    except (OSError, ValueError, RecursionError, csv.Error) as error:
        raise LoadError(f"the data file {path} cannot be read: {error}") from error
    if not rows:
        raise LoadError(f"the data file {path} holds no rows")
    wrong = next((number for number, row in enumerate(rows, 1) if not isinstance(row, dict) or None in row), None)
    if wrong is not None:
        raise LoadError(f"the data file {path}: row {wrong} is no mapping of the columns to values")
    return rows
