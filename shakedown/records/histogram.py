"""A histogram with logarithmic buckets: mergeable, of constant relative error, of constant memory.

A value v > 0 falls into bucket i = ⌈ln v / ln γ⌉ with γ = (1 + α) / (1 − α); the bucket's estimate 2γⁱ / (γ + 1) differs
from any value in it by at most the fraction α. Merging is the addition of integers, so that the order of merging and
the number of parts change nothing. Count, sum, least and greatest value are exact.
"""

import math
import struct
import zlib
from collections.abc import Iterable
from typing import Self

import numpy as np

__all__ = ["Histogram"]

ALPHA = 0.005
_GAMMA = (1 + ALPHA) / (1 - ALPHA)
_LOG_GAMMA = math.log(_GAMMA)
# Latencies below a nanosecond do not exist; such values, and zero, are counted apart.
_SMALLEST = 1e-9
_VERSION = 1
_HEADER = struct.Struct("<BqqdddI")


class Histogram:
    """A distribution of non-negative values (seconds, usually)."""

    __slots__ = ("_buckets", "count", "max", "min", "sum", "zeros")

    def __init__(self) -> None:
        self._buckets: dict[int, int] = {}
        self.count = 0
        self.zeros = 0
        self.sum = 0.0
        self.min = math.inf
        self.max = -math.inf

    def record(self, value: float, n: int = 1) -> None:
        """Count `value` `n` times.

        Raises:
            ValueError: the value is negative or not a number.
        """
        if not value >= 0:
            raise ValueError(f"a histogram takes values of zero and above, not {value}")
        if value < _SMALLEST:
            self.zeros += n
        else:
            index = math.ceil(math.log(value) / _LOG_GAMMA)
            self._buckets[index] = self._buckets.get(index, 0) + n
        self.count += n
        self.sum += value * n
        self.min = min(self.min, value)
        self.max = max(self.max, value)

    def record_many(self, values: Iterable[float]) -> None:
        """Count many values at once; much faster than one by one.

        Raises:
            ValueError: a value is negative or not a number.
        """
        array = np.asarray(values, dtype=float)
        if array.size == 0:
            return
        if not (array >= 0).all():
            raise ValueError("a histogram takes values of zero and above")
        positive = array[array >= _SMALLEST]
        indices, counts = np.unique(np.ceil(np.log(positive) / _LOG_GAMMA).astype(np.int64), return_counts=True)
        for index, count in zip(indices.tolist(), counts.tolist(), strict=True):
            self._buckets[index] = self._buckets.get(index, 0) + count
        self.zeros += int(array.size - positive.size)
        self.count += int(array.size)
        self.sum += float(array.sum())
        self.min = min(self.min, float(array.min()))
        self.max = max(self.max, float(array.max()))

    def merge(self, other: "Histogram") -> None:
        """Add another histogram's values to this one."""
        for index, count in other._buckets.items():  # noqa: SLF001 - its own class
            self._buckets[index] = self._buckets.get(index, 0) + count
        self.count += other.count
        self.zeros += other.zeros
        self.sum += other.sum
        self.min = min(self.min, other.min)
        self.max = max(self.max, other.max)

    @property
    def mean(self) -> float | None:
        """The exact mean; None when empty."""
        return self.sum / self.count if self.count else None

    def quantile(self, q: float) -> float | None:
        """The q-quantile by nearest rank (the ⌈q·n⌉-th smallest), within α of it; None when empty.

        Raises:
            ValueError: q lies outside [0, 1].
        """
        if not 0 <= q <= 1:
            raise ValueError(f"a quantile lies in [0, 1], not {q}")
        if not self.count:
            return None
        # q·n of, say, 0.95·60 is 57.000000000000007 in binary: the small step back keeps it at rank 57.
        rank = max(1, math.ceil(q * self.count - 1e-9))
        if rank >= self.count:
            return self.max
        seen = self.zeros
        if rank <= seen:
            return self.min if self.zeros == self.count else 0.0
        for index in sorted(self._buckets):
            seen += self._buckets[index]
            if seen >= rank:
                return min(max(2 * _GAMMA**index / (_GAMMA + 1), self.min), self.max)
        return self.max

    def to_bytes(self) -> bytes:
        """A compact, versioned encoding."""
        items = sorted(self._buckets.items())
        header = _HEADER.pack(_VERSION, self.count, self.zeros, self.sum, self.min, self.max, len(items))
        indices = np.fromiter((index for index, _ in items), dtype="<i4", count=len(items))
        counts = np.fromiter((count for _, count in items), dtype="<i8", count=len(items))
        return zlib.compress(header + np.diff(indices, prepend=0).astype("<i4").tobytes() + counts.tobytes(), 1)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Decode what `to_bytes` wrote.

        Raises:
            ValueError: these are not the bytes of a histogram, or of a version that this program does not know.
        """
        try:
            raw = zlib.decompress(data)
            version, count, zeros, total, least, greatest, size = _HEADER.unpack_from(raw)
        except (zlib.error, struct.error) as error:
            raise ValueError(f"not a histogram: {error}") from error
        if version != _VERSION:
            raise ValueError(f"a histogram of version {version}; this program knows {_VERSION}")
        indices = np.cumsum(np.frombuffer(raw, dtype="<i4", count=size, offset=_HEADER.size))
        counts = np.frombuffer(raw, dtype="<i8", count=size, offset=_HEADER.size + 4 * size)
        result = cls()
        result._buckets = dict(zip(indices.tolist(), counts.tolist(), strict=True))
        result.count, result.zeros, result.sum, result.min, result.max = count, zeros, total, least, greatest
        return result

    def __eq__(self, other: object) -> bool:
        """Equal bucket for bucket; sums may differ by rounding, as addition of floats is not associative."""
        if not isinstance(other, Histogram):
            return NotImplemented
        return (
            self._buckets == other._buckets
            and (self.count, self.zeros, self.min, self.max) == (other.count, other.zeros, other.min, other.max)
            and math.isclose(self.sum, other.sum, rel_tol=1e-9, abs_tol=1e-12)
        )

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __repr__(self) -> str:
        return f"<Histogram of {self.count} values>"
