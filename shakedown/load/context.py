"""What the templates of one worker can use: rows of data, functions, and the randomness behind them."""

import csv
import json
import random
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

from shakedown.errors import LoadError
from shakedown.load.spec import LoadSpec

__all__ = ["Context", "read_rows"]


class Context:
    """The names that templates use.

    Attributes:
        random: everything that a worker draws comes from here, so that the same seed gives the same data.
    """

    def __init__(self, spec: LoadSpec, shard: int, rows: Sequence[dict[str, object]]) -> None:
        self.random = random.Random(spec.seed * 1000 + shard)  # noqa: S311 - repeatable data, not cryptography
        self._rows = rows
        self._order = spec.work.data.order if spec.work.data else "sequential"
        self._functions: dict[str, object] = {
            "uuid": lambda: str(uuid.UUID(int=self.random.getrandbits(128), version=4)),
            "randint": self.random.randint,
            "choice": lambda *values: self.random.choice(values[0] if len(values) == 1 else values),
            "now": time.time,
        }

    def names(self, iteration: int, vu: int) -> dict[str, object]:
        """The names of one iteration."""
        names = {**self._functions, "iteration": iteration, "vu": vu}
        if self._rows:
            names["row"] = (
                self.random.choice(self._rows) if self._order == "random" else self._rows[iteration % len(self._rows)]
            )
        return names

    def draw(self, weights: Sequence[float]) -> int:
        """An index drawn by weight."""
        return self.random.choices(range(len(weights)), weights)[0]


def read_rows(path: Path) -> list[dict[str, object]]:
    """Rows from CSV (with a header) or JSON lines.

    Raises:
        LoadError: the file holds no rows, or a line that is not JSON.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            if path.suffix.lower() in (".jsonl", ".ndjson"):
                rows: list[dict[str, object]] = [json.loads(line) for line in file if line.strip()]
            else:
                rows = [dict(row) for row in csv.DictReader(file)]
    except (OSError, ValueError) as error:
        raise LoadError(f"the data file {path} cannot be read: {error}") from error
    if not rows:
        raise LoadError(f"the data file {path} holds no rows")
    return rows
