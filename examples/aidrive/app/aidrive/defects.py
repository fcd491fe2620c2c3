"""Mistakes that real services make, each to be switched on by `AIDRIVE_DEFECTS=name,…`.

===============  =========  ==================================================================================
name             where      the mistake
===============  =========  ==================================================================================
blocking-call    api        waits 5 ms for statistics where nothing else runs meanwhile
never-hits       cache      keeps statistics under a key that nobody asks for again
no-admission     door       lets everybody in, however many are in already
few-connections  door       closes every connection beyond the 200th
deep-health      api        /health sorts the whole inventory to see whether the database works
polling          api        looks every 60 ms whether an answer is there, instead of being told
housekeeping     api        tidies up after each 2000 requests, all at once, where nothing else runs meanwhile
no-timeout       peer       waits for other services as long as it takes
impatient        store      gives the database 60 ms
no-reconnect     store      makes one connection at start, and keeps it whatever becomes of it
pool-leak        store      does not give a connection back on which something went wrong
cache-needed     api        fails when the cache does
no-breaker       breaker    goes on calling what fails
cascade          forecast   is down when the model is
all-or-nothing   api        has no overview without a forecast
backlog          door       does what it refused all the same, afterwards, when nobody waits for it any more
slow-metrics     api        asks the database for a figure before it shows any
leak-memory      api        keeps the context of every request for ever: 20 kB
===============  =========  ==================================================================================
"""

import os
import sys

KNOWN = (
    "all-or-nothing", "backlog", "blocking-call", "cache-needed", "cascade", "deep-health", "few-connections", "housekeeping",
    "impatient", "leak-memory", "never-hits", "no-admission", "no-breaker", "no-reconnect", "no-timeout", "polling",
    "pool-leak", "slow-metrics",
)  # fmt: skip
_ON = frozenset(name for name in os.environ.get("AIDRIVE_DEFECTS", "").split(",") if name)


def on(name: str) -> bool:
    """Whether a defect is switched on."""
    if name not in KNOWN:
        raise KeyError(name)
    return name in _ON


def check() -> None:
    """End the program if an unknown defect is asked for."""
    if _ON - set(KNOWN):
        sys.exit(f"unknown defect {min(_ON - set(KNOWN))!r} in AIDRIVE_DEFECTS; known are {', '.join(KNOWN)}")
