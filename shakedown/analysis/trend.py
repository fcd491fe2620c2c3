"""Is there a trend in a series, or do a warm-up, a step, or wandering noise explain it as well?

Two families of models are fitted to a series y over cycles t and compared by what they explain:

    with a trend     y = a + b·t + shape + noise
    without one      y = a       + shape + noise

A *shape* is nothing, a warm-up that saturates (c·exp(-t/τ)), one step, two steps, or a warm-up and a step. The *noise*
is autoregressive of order one: its correlation ρ is chosen for each model, so that a series that merely wanders is no
trend. Both families choose their best by n·ln(RSS/n) − ln(1−ρ²) with a penalty of ln n for each parameter of the shape
(Schwarz, 1978); the residuals are those of the transformation of Prais and Winsten (1954). The *evidence* is by how
much the family with the trend is better: twice the logarithm of the likelihood ratio, less what its shape costs more.

What evidence is enough was found by simulation; `benchmarks/leaks.py` shows the rates of false alarms and of leaks found.
"""

import functools
import itertools
from dataclasses import dataclass

import numpy as np

__all__ = ["MOST_POINTS", "Trend", "find_trend"]

MOST_POINTS = 120  # a longer series is averaged down to at most so many
CORRELATIONS = (0.0, 0.2, 0.4, 0.55, 0.7, 0.8, 0.87, 0.93, 0.97)
WARM_UPS = 14  # time constants that are tried
FEWEST = 8  # the largest model has six parameters
EDGE = 2  # cycles at either end where a step could not be told from an outlier
EXACT = 1e-6  # of the median: residuals below this are rounding
_TREND = 1  # the trend's column

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Trend:
    """The best model with a trend, and how much better it is than the best without one.

    Attributes:
        evidence: above zero, the trend explains more than it costs.
        growth: of the trend over the whole window, in the series' unit; warm-up and steps are not in it.
        error: standard error of the growth.
        start: the level without the shape at the first cycle.
        shape: what else the series does, in words; empty when nothing.
        flat_shape: what explains it best if there is no trend; empty when a constant does.
        correlation: of the noise, from one cycle to the next.
        noise: standard deviation of the noise.
    """

    evidence: float
    growth: float
    error: float
    start: float
    shape: str
    flat_shape: str
    correlation: float
    noise: float


def find_trend(values: np.ndarray) -> Trend:
    """Fit both families; at least eight values are needed.

    Raises:
        ValueError: there are fewer.
    """
    if len(values) < FEWEST:
        raise ValueError(f"{len(values)} values are too few to fit a trend to")
    y = _thinned(np.asarray(values, dtype=float))
    flat, rising = _Best(), _Best()
    design, shapes = _basis(len(y))
    floor = len(y) * (EXACT * max(abs(float(np.median(y))), 1e-12)) ** 2
    for rho in CORRELATIONS:
        x, z = _whitened(design, rho), _whitened(y[:, None], rho)[:, 0]
        gram, moment, total = x.T @ x, x.T @ z, float(z @ z)
        for columns in shapes:
            for best, base in ((flat, (0,)), (rising, (0, _TREND))):
                best.offer(gram, moment, total, np.array([(*base, *shape) for shape in columns]), rho, len(y), floor)
    x = _whitened(design, rising.rho)[:, rising.columns]
    z = _whitened(y[:, None], rising.rho)[:, 0]
    coefficients, *_ = np.linalg.lstsq(x, z, rcond=None)
    residual = z - x @ coefficients
    variance = float(residual @ residual) / max(len(z) - len(rising.columns) - 1, 1)
    spread = float(np.linalg.pinv(x.T @ x)[_TREND, _TREND])
    return Trend(
        evidence=flat.criterion - rising.criterion,
        growth=float(coefficients[_TREND]),
        error=float(np.sqrt(max(variance * spread, 0.0))),
        start=float(coefficients[0]),
        shape=_words(rising.columns[2:], len(y)),
        flat_shape=_words(flat.columns[1:], len(y)),
        correlation=rising.rho,
        noise=float(np.sqrt(variance / (1 - rising.rho**2))),
    )


class _Best:
    """The best model of one family so far."""

    def __init__(self) -> None:
        self.criterion = float("inf")
        self.rho = 0.0
        self.columns: Shape = (0,)

    def offer(
        self, gram: np.ndarray, moment: np.ndarray, total: float, columns: np.ndarray, rho: float, n: int, floor: float
    ) -> None:
        """Look at models that have as many columns each, all at once."""
        matrices = gram[columns[:, :, None], columns[:, None, :]]
        size = columns.shape[1]
        ridge = 1e-10 * np.trace(matrices, axis1=1, axis2=2)[:, None, None] * np.eye(size)
        sides = moment[columns]
        found = np.linalg.solve(matrices + ridge, sides[:, :, None])[:, :, 0]
        rss = np.maximum(total - (found * sides).sum(axis=1), floor)
        # The trend itself costs nothing here: whether it is worth its parameter is for the evidence to say.
        shape_columns = size - 1 - int(columns[0, 1] == _TREND if size > 1 else 0)
        criteria = n * np.log(rss / n) - np.log(1 - rho**2) + 2 * shape_columns * np.log(n)
        best = int(criteria.argmin())
        if criteria[best] < self.criterion:
            self.criterion, self.rho = float(criteria[best]), rho
            self.columns = tuple(int(column) for column in columns[best])


@functools.cache
def _basis(n: int) -> tuple[np.ndarray, list[list[Shape]]]:
    """The columns that models are made of, and the shapes by their number of columns."""
    t = np.arange(n, dtype=float)
    warm_ups = [np.exp(-t / constant) for constant in _constants(n)]
    steps = [(t >= at).astype(float) for at in range(EDGE, n - EDGE + 1)]
    first_step = 2 + len(warm_ups)
    warm_numbers, step_numbers = range(2, first_step), range(first_step, first_step + len(steps))
    two_steps: list[Shape] = list(itertools.combinations(step_numbers, 2))
    shapes: list[list[Shape]] = [
        [()],
        [(number,) for number in (*warm_numbers, *step_numbers)],
        two_steps + [(warm, step) for warm in warm_numbers[::2] for step in step_numbers[::2]],
    ]
    return np.column_stack([np.ones(n), t / (n - 1), *warm_ups, *steps]), shapes


def _constants(n: int) -> np.ndarray:
    """Time constants of warm-ups, cycles."""
    return np.geomspace(1.0, n / 3, WARM_UPS)


def _whitened(columns: np.ndarray, rho: float) -> np.ndarray:
    """Prais and Winsten's transformation: what is left has no correlation from one cycle to the next."""
    return np.vstack([columns[:1] * np.sqrt(1 - rho**2), columns[1:] - rho * columns[:-1]])


def _thinned(y: np.ndarray) -> np.ndarray:
    """Averages of neighbours, so that a long series has at most `MOST_POINTS`."""
    width = -(-len(y) // MOST_POINTS)
    if width == 1:
        return y
    whole = len(y) // width * width
    thinned: np.ndarray = y[len(y) - whole :].reshape(-1, width).mean(axis=1)
    return thinned


def _words(columns: Shape, n: int) -> str:
    names = []
    for column in columns:
        if column < 2 + WARM_UPS:
            names.append(f"a warm-up of about {3 * _constants(n)[column - 2]:.0f} cycles")
        else:
            names.append(f"a step after cycle {column - 2 - WARM_UPS + EDGE}")
    return " and ".join(names)
