"""How often the leak rule is right, on generated series: `make bench-leaks`. Writes the table in benchmarks/README.md."""  # noqa: INP001

import argparse
import itertools
import sys
from pathlib import Path

import numpy as np
from publish import publish
from scipy.stats import kendalltau, theilslopes

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from shakedown.analysis.growth import GrowthVerdict, judge_difference, judge_growth  # noqa: E402 - from this very folder's project
from tests.unit.series import CLEAN, LEAKING, Generator  # noqa: E402

BEGIN, END = "<!-- leaks: begin -->", "<!-- leaks: end -->"
CYCLES = 60
# What a leaking series was before it leaked.
EARLIER = {
    "leak, white noise 1 %": "white noise 1 %", "leak, wandering noise 0.5 %": "wandering noise 1 %, correlation 0.8",
    "leak, wandering noise 1 %": "wandering noise 1 %, correlation 0.8", "leak, saw-tooth of 5 %": "saw-tooth of 5 %",
    "leak, warm-up of 20 %": "warm-up of 20 %, noise 0.5 %", "count, one more in 5 cycles": "count, constant",
    "count, one more in 10 cycles": "count, constant",
}  # fmt: skip
DROPPED = 0.25


def mann_kendall(y: np.ndarray) -> bool:
    """The usual test for a trend, at 5 %, after a quarter is left out."""
    rest = y[int(len(y) * DROPPED) :]
    if np.ptp(rest) == 0:
        return False
    tau, p = kendalltau(np.arange(len(rest)), rest)
    return bool(tau > 0 and p < 0.05)


def four_parts(y: np.ndarray) -> bool:
    """Theil and Sen's interval above zero, growth that matters, second half like the first, minima that rise."""
    rest = y[int(len(y) * DROPPED) :]
    slope, _, low, _ = theilslopes(rest, np.arange(len(rest)))
    if not (low > 0 and slope * (len(rest) - 1) >= max(0.02 * np.median(rest), 1)):
        return False
    half = len(rest) // 2
    first, second = (theilslopes(part, np.arange(len(part)))[0] for part in (rest[:half], rest[half:]))
    minima = [part.min() for part in np.array_split(rest, 4)]
    return bool(first > 0 and second >= first / 2 and all(b > a for a, b in itertools.pairwise(minima)))


def ours(y: np.ndarray) -> bool:
    """The rule of `shakedown.analysis.growth`."""
    return judge_growth(y).verdict is GrowthVerdict.GROWS


def beside(y: np.ndarray, earlier: np.ndarray) -> bool:
    """Ours, with an earlier run at hand: it grows by itself, or more than that run did."""
    difference = judge_difference(y, earlier)
    return ours(y) or (difference is not None and difference.verdict is GrowthVerdict.GROWS)


RULES = {"Mann-Kendall": mann_kendall, "four parts": four_parts, "ours": ours}


def rates(generator: Generator, before: Generator, runs: int, seed: int) -> list[float]:
    """Each rule's share of alarms, over the same series; the last beside an earlier run of the same kind without a leak."""
    rng = np.random.default_rng(seed)
    series = [generator(rng, CYCLES) for _ in range(runs)]
    found = [sum(rule(y) for y in series) / runs for rule in RULES.values()]
    return [*found, sum(beside(y, before(rng, CYCLES)) for y in series) / runs]


def main() -> None:
    """Simulate and publish."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=400, help="series of each kind")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    lines = [
        f"Share of {options.runs} generated series of {CYCLES} cycles each that a rule calls a leak.",
        "",
        f"| series | should be | {' | '.join(RULES)} | ours, beside an earlier run |",
        f"|---|---:|{'---:|' * (len(RULES) + 1)}",
    ]
    for wanted, generators in ((0, CLEAN), (1, LEAKING)):
        every = []
        for name, generator in generators.items():
            found = rates(generator, CLEAN.get(EARLIER.get(name, name), generator), options.runs, options.seed)
            every.append(found)
            lines.append(f"| {name} | {wanted} | {' | '.join(f'{share:.3f}' for share in found)} |")
        means = [sum(column) / len(column) for column in zip(*every, strict=True)]
        kind = "all with a leak" if wanted else "all without a leak"
        lines.append(f"| **{kind}** | {wanted} | {' | '.join(f'**{share:.3f}**' for share in means)} |")
    text = "\n".join(lines)
    sys.stdout.write(text + "\n")
    publish(BEGIN, END, text)


if __name__ == "__main__":
    main()
