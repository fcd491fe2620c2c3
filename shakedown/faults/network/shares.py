"""Whether a share of packets that was counted is the share that was asked for."""

from dataclasses import dataclass
from math import sqrt

__all__ = ["Counted"]

Z = 2.576  # 99 %
EXPECTED = 20  # so many hits must have been likely before anything is said …
SURE = 5  # … or so many packets, where most are to be hit
NEAR = 0.5  # and the share itself is at least half of what was asked, and at most twice


@dataclass(frozen=True, slots=True)
class Counted:
    """Packets considered, and packets hit."""

    seen: int
    hit: int

    def __add__(self, other: "Counted") -> "Counted":
        return Counted(self.seen + other.seen, self.hit + other.hit)

    @property
    def share(self) -> float:
        """Of the packets."""
        return self.hit / self.seen if self.seen else 0.0

    def enough(self, asked: float) -> bool:
        """Whether there were packets enough to say anything."""
        return self.seen * asked >= EXPECTED or (asked >= NEAR and self.seen >= SURE)

    def interval(self) -> tuple[float, float]:
        """Where the true share lies, 99 times of 100: Wilson (1927), score interval for a proportion."""
        n, p, z = self.seen, self.share, Z
        if not n:
            return 0.0, 1.0
        middle = (p + z * z / (2 * n)) / (1 + z * z / n)
        reach = z / (1 + z * z / n) * sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        return max(middle - reach, 0.0), min(middle + reach, 1.0)

    def agrees(self, asked: float) -> bool:
        """Whether it may well be the asked share: enough packets, in the interval, and not off by half."""
        low, high = self.interval()
        near = NEAR * asked <= self.share <= min(asked / NEAR, 1.0)
        return self.enough(asked) and low <= asked <= high + 1e-9 and near

    def words(self, asked: float) -> str:
        """`53 of 1,024 packets (5.2 %)`; that there are too few, if there are."""
        few = "" if self.enough(asked) else ", too few to tell"
        return f"{self.hit:,} of {self.seen:,} packets ({self.share:.2%}{few})"
