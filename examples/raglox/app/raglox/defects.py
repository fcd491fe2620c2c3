"""Mistakes that real services make, each to be switched on by `RAGLOX_DEFECTS=name,…`.

==============  ======  =================================================================================
name            where   the mistake
==============  ======  =================================================================================
pool-leak       store   does not give a connection back on which something went wrong
no-timeout      store   lets slow queries take as long as they like, on the connections of all others
half-commit     store   commits a task before its items
cache-needed    api     fails when the cache does
no-cleanup      cache   says that a session was deleted, and leaves it
no-validation   api     believes what it is sent
keeps-bodies    api     keeps every document that it has counted
no-rate-limit   limits  lets everybody ask as often as they like
==============  ======  =================================================================================
"""

import os
import sys

KNOWN = (
    "cache-needed", "half-commit", "keeps-bodies", "no-cleanup", "no-rate-limit", "no-timeout", "no-validation",
    "pool-leak",
)  # fmt: skip
_ON = frozenset(name for name in os.environ.get("RAGLOX_DEFECTS", "").split(",") if name)


def on(name: str) -> bool:
    """Whether a defect is switched on."""
    if name not in KNOWN:
        raise KeyError(name)
    return name in _ON


def check() -> None:
    """End the program if an unknown defect is asked for."""
    if _ON - set(KNOWN):
        sys.exit(f"unknown defect {min(_ON - set(KNOWN))!r} in RAGLOX_DEFECTS; known are {', '.join(KNOWN)}")
