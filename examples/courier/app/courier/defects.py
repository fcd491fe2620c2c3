"""Mistakes that real services make, each to be switched on by `COURIER_DEFECTS=name,…`.

=================  ==============================================================================================
lose-writes        the api answers 202 from a buffer in memory, which reaches Redis a moment later, or never
duplicate-writes   the worker stores its reply again when it is not sure whether the first attempt arrived
no-reconnect       the api makes its Redis connection once, at start, and never anew
leak-memory        the api keeps the context of every message for ever
lying-health       /health answers ok without looking at what the service depends on
=================  ==============================================================================================
"""

import sys

from courier.settings import SETTINGS

KNOWN = ("duplicate-writes", "leak-memory", "lose-writes", "lying-health", "no-reconnect")


def on(name: str) -> bool:
    """Whether a defect is switched on."""
    if name not in KNOWN:
        raise KeyError(name)
    return name in SETTINGS.defects


def check() -> None:
    """End the program if an unknown defect is asked for: a test of it would find nothing and say so."""
    unknown = sorted(set(SETTINGS.defects) - set(KNOWN))
    if unknown:
        sys.exit(f"unknown defect {unknown[0]!r} in COURIER_DEFECTS; known are {', '.join(KNOWN)}")
