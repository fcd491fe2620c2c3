"""Series as resources show them over cycles: some leak, some do not."""

from collections.abc import Callable

import numpy as np

Generator = Callable[[np.random.Generator, int], np.ndarray]


def wandering(rng: np.random.Generator, n: int, correlation: float, spread: float) -> np.ndarray:
    """Noise that remembers: autoregressive of order one, with a standard deviation of `spread`."""
    shocks = rng.normal(0, spread * np.sqrt(1 - correlation**2), n)
    noise = np.empty(n)
    noise[0] = rng.normal(0, spread)
    for cycle in range(1, n):
        noise[cycle] = correlation * noise[cycle - 1] + shocks[cycle]
    return noise


def warm_up(rng: np.random.Generator, n: int, slowest: float = 10.0) -> np.ndarray:
    return 20 * (1 - np.exp(-np.arange(n) / rng.uniform(3, slowest)))


def saw_tooth(rng: np.random.Generator, n: int) -> np.ndarray:
    return 5 * ((np.arange(n) + rng.integers(7)) % 7) / 7


def high_water(rng: np.random.Generator, n: int, jumps: int = 20) -> np.ndarray:
    """A heap: some per cent in all, in jumps that get rarer, as what was given back is used again; it never falls."""
    at = rng.exponential(n / 6, jumps)
    sizes = rng.exponential(1.0, jumps)
    sizes *= rng.uniform(3, 8) / sizes.sum()
    return (sizes[:, None] * (np.arange(n)[None, :] >= at[:, None])).sum(axis=0)


def leak(n: int) -> np.ndarray:
    """0.1 % of 100 per cycle."""
    return 0.1 * np.arange(n)


CLEAN: dict[str, Generator] = {
    "white noise 1 %": lambda rng, n: 100 + rng.normal(0, 1, n),
    "wandering noise 1 %, correlation 0.8": lambda rng, n: 100 + wandering(rng, n, 0.8, 1),
    "wandering noise 1 %, correlation 0.95": lambda rng, n: 100 + wandering(rng, n, 0.95, 1),
    "warm-up of 20 %, noise 0.5 %": lambda rng, n: 100 + warm_up(rng, n) + rng.normal(0, 0.5, n),
    "warm-up of 20 %, wandering 0.5 %": lambda rng, n: 100 + warm_up(rng, n) + wandering(rng, n, 0.8, 0.5),
    "one step of 10 %": lambda rng, n: 100 + 10 * (np.arange(n) >= rng.integers(5, n - 5)) + rng.normal(0, 1, n),
    "saw-tooth of 5 %": lambda rng, n: 100 + saw_tooth(rng, n) + rng.normal(0, 0.5, n),
    "high-water mark of a heap, 3 to 8 %": lambda rng, n: 100 + high_water(rng, n),
    "count, two rises": lambda rng, n: (
        20.0 + (np.arange(n) >= rng.integers(n // 4, n // 2)) + (np.arange(n) >= rng.integers(n // 2, n - 3))
    ),
    "count, constant": lambda _, n: np.full(n, 50.0),
    "count, Poisson of 10": lambda rng, n: rng.poisson(10, n).astype(float),
}
LEAKING: dict[str, Generator] = {
    "leak, white noise 1 %": lambda rng, n: 100 + leak(n) + rng.normal(0, 1, n),
    "leak, wandering noise 0.5 %": lambda rng, n: 100 + leak(n) + wandering(rng, n, 0.8, 0.5),
    "leak, wandering noise 1 %": lambda rng, n: 100 + leak(n) + wandering(rng, n, 0.8, 1),
    "leak, saw-tooth of 5 %": lambda rng, n: 100 + leak(n) + saw_tooth(rng, n) + rng.normal(0, 0.5, n),
    "leak, warm-up of 20 %": lambda rng, n: 100 + leak(n) + warm_up(rng, n) + rng.normal(0, 0.5, n),
    "count, one more in 5 cycles": lambda rng, n: 20.0 + (np.arange(n) + rng.integers(5)) // 5,
    "count, one more in 10 cycles": lambda rng, n: 20.0 + (np.arange(n) + rng.integers(10)) // 10,
}
