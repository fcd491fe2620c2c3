"""How often the rules of regression are right, on simulated runs: `make bench-regression`. Writes its table in benchmarks/README.md."""  # noqa: INP001

import argparse
import math
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from publish import publish
from scipy.stats import mannwhitneyu

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from shakedown.analysis.changepoints import find_changes  # noqa: E402 - from this very folder's project
from shakedown.analysis.regression import compare, look_back, yardstick  # noqa: E402
from shakedown.records.figures import Change, FigureName  # noqa: E402

BEGIN, END = "<!-- regression: begin -->", "<!-- regression: end -->"
Rule = Callable[[np.random.Generator, int, float, float], bool]
P95 = FigureName("stress", "send", "p95")
SHIFT = 1.2
NOISY = 0.05
REQUESTS = 200


def runs(rng: np.random.Generator, count: int, cv: float, shift: float = 1.0) -> np.ndarray:
    """A p95 of each run: around 100 ms, and one run in twenty with a noisy neighbour."""
    values = np.exp(rng.normal(math.log(0.1 * shift), cv, count))
    values[rng.random(count) < NOISY] *= 1.3
    return values


def pooled(rng: np.random.Generator, count: int, cv: float, shift: float) -> bool:
    """What must not be done: all requests of all runs of a side as one sample, at 1 %."""
    sides = [
        np.concatenate([level * np.exp(rng.normal(0, 0.2, REQUESTS)) for level in runs(rng, count, cv, by)])
        for by in (1.0, shift)
    ]
    return bool(mannwhitneyu(*sides, alternative="less").pvalue < 0.01)


def ours(rng: np.random.Generator, count: int, cv: float, shift: float) -> bool:
    """Several runs a side."""
    sides = {P95: (runs(rng, count, cv), runs(rng, count, cv, shift))}
    return compare(sides)[P95].change is Change.REGRESSED


def beyond(new: int, wanted: Change) -> Rule:
    """One new run, or three, beside those before."""

    def rule(rng: np.random.Generator, count: int, cv: float, shift: float) -> bool:
        values = [*runs(rng, count, cv), *runs(rng, new, cv, shift)]
        return look_back({P95: values})[P95].change is wanted

    return rule


def changed(rng: np.random.Generator, count: int, cv: float, shift: float) -> bool:
    """A change of level in the middle of so many runs."""
    values = np.concatenate([runs(rng, count - count // 2, cv), runs(rng, count // 2, cv, shift)])
    return bool(find_changes(values.tolist(), yardstick("p95")))


RULES = [
    ("all requests pooled, Mann-Whitney p < .01", pooled, (3, 5, 10), 20),
    ("several runs a side (ours)", ours, (3, 5, 10), 250),
    ("one new run: suspect", beyond(1, Change.SUSPECT), (8, 20), 250),
    ("three new runs in a row: regressed (ours)", beyond(3, Change.REGRESSED), (8, 20), 250),
    ("change of level (ours)", changed, (20, 50), 20),
]


def share(rule: Rule, trials: int, seed: int, count: int, cv: float, shift: float) -> float:
    """How often a rule raises an alarm."""
    rng = np.random.default_rng(seed)
    return sum(rule(rng, count, cv, shift) for _ in range(trials)) / trials


def main() -> None:
    """Simulate and publish."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    lines = [
        "Share of simulated comparisons that a rule calls a regression (or a change), of equal runs / of runs that are 20 % slower.",
        "One run in twenty has a noisy neighbour; cv is the scatter between runs.",
        "",
        "| rule | runs | trials | cv 3 % | cv 8 % |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, rule, counts, trials in RULES:
        for count in counts:
            cells = [
                f"{share(rule, trials, options.seed, count, cv, 1.0):.3f} / {share(rule, trials, options.seed + 1, count, cv, SHIFT):.2f}"
                for cv in (0.03, 0.08)
            ]
            lines.append(f"| {name} | {count} | {trials} | {' | '.join(cells)} |")
    text = "\n".join(lines)
    sys.stdout.write(text + "\n")
    publish(BEGIN, END, text)


if __name__ == "__main__":
    main()
