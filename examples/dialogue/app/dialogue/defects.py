"""Mistakes that real stores make, each to be switched on by `DIALOGUE_DEFECTS=name,…`.

===============  ========  =================================================================================
name             where     the mistake
===============  ========  =================================================================================
race             store     reads the last number, adds one and writes it, while others do the same
stale-cache      store     keeps a history that was read before somebody wrote
unbounded-cache  cache     never lets go of anything
mixed-sessions   store     keeps the conversation under way in the store, not with its caller
cold-cache       store     forgets everything with each write, not only what was written to
no-index         database  looks through all messages for those of one conversation
half-batch       database  commits each message of a batch by itself
cascade          database  leaves its transaction open when something was wrong in it
truncate         store     cuts long texts, and tells nobody
===============  ========  =================================================================================
"""

import os
import sys

KNOWN = (
    "cascade", "cold-cache", "half-batch", "mixed-sessions", "no-index", "race", "stale-cache", "truncate", "unbounded-cache",
)  # fmt: skip
_ON = frozenset(name for name in os.environ.get("DIALOGUE_DEFECTS", "").split(",") if name)
if _ON - set(KNOWN):
    sys.exit(f"unknown defect {min(_ON - set(KNOWN))!r} in DIALOGUE_DEFECTS; known are {', '.join(KNOWN)}")


def on(name: str) -> bool:
    """Whether a defect is switched on."""
    if name not in KNOWN:
        raise KeyError(name)
    return name in _ON
