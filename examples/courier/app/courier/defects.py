"""Mistakes that real services make, each to be switched on by `COURIER_DEFECTS=name,…`.

=================  =========  ====================================================================================
name               where      the mistake
=================  =========  ====================================================================================
lose-writes        api        answers 202 from a buffer in memory, which reaches Redis a moment later, or never
no-reconnect       all        makes the Redis connection once, at start, and never anew
slow-recovery      all        after one failed call to Redis waits 25 s before it looks again
unbounded-queue    api        the queue has no limit: nobody is told to come later, until Redis has no memory left
leak-memory        api        keeps the context of every message for ever
leak-files         api        opens the next audit file and forgets to close the last
stale-cache        api        keeps whatever a reader saw first, also what is not final, and never looks again
blocking-call      api        calls the chat service with a library that waits, where nothing else runs meanwhile
cascade            api        asks the database before it accepts a message, which the queue alone could take
lying-health       all        /health answers ok without looking at what the service depends on
no-timeout         all        calls to the providers and to the database wait for ever
no-breaker         worker     goes on calling a provider that fails
retry-storm        worker     tries again at once, twenty times, and tells the breaker of the last attempt alone
thundering-herd    worker     once a second sends everything that waits, all at once, however much it is
duplicate-writes   worker     stores its reply again when it is not sure whether the first attempt arrived
race               worker     reads a count, adds one and writes it back, while others do the same
half-commit        worker     writes the outgoing chat message a moment after the transaction, not in it
leak-connections   worker     opens a connection by hand for one message in a hundred, and closes it never
lost-on-shutdown   worker     acknowledges to the queue what it only keeps in memory, and ends without storing it
poison-message     worker     tries a message that cannot be processed again and again, before all others
=================  =========  ====================================================================================

How each shows from outside is told in examples/README.md.
"""

import sys

from courier.settings import SETTINGS

KNOWN = (
    "blocking-call", "cascade", "duplicate-writes", "half-commit", "leak-connections", "leak-files", "leak-memory",
    "lose-writes", "lost-on-shutdown", "lying-health", "no-breaker", "no-reconnect", "no-timeout", "poison-message", "race",
    "retry-storm", "slow-recovery", "stale-cache", "thundering-herd", "unbounded-queue",
)  # fmt: skip


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
