"""postgres-slow-queries: the proxy reads PostgreSQL's protocol, and queries reach the server later.

A server cannot slow its own queries. Latency of the network would slow connecting too, and a query of several messages
more than once; here a query is late by the same time whatever it is made of, and it can be chosen by its text.
"""

from typing import Any

from shakedown.faults.network.proxied import IN_FRONT, REDIRECTED, ProxiedFault
from shakedown.plan.faults.databases import PostgresSlowQueries
from shakedown.records.experiment import Proof
from shakedown.units import format_duration

__all__ = ["SlowQueriesFault"]

ENOUGH = 0.8  # of the asked delay must be measured
PROTOCOL = "PostgreSQL's protocol read in the proxy"


class SlowQueriesFault(ProxiedFault[PostgresSlowQueries]):
    """The fault."""

    kind = "postgres-queries"
    mechanism = f"{PROTOCOL}: {REDIRECTED}; open connections reset once. Processes: {IN_FRONT}"
    proof = "queries that were held back, counted; the mean time for which they were: at least 80 % of what was asked"

    @property
    def shows(self) -> str:
        """For the report."""
        which = f"queries that match `{self.plan.matching}`" if self.plan.matching else "every query"
        return f"{format_duration(self.plan.delay)} longer for {which}"

    def options(self) -> dict[str, Any]:
        """How long, and which."""
        return self.plan.model_dump(include={"delay", "matching"})

    def check(self) -> None:
        """As every fault of the proxy."""
        super().check()
        self.mechanism = f"{PROTOCOL}: {self.mechanism}"

    def effect(self) -> Proof:
        """Queries were held back by what was asked, and none escaped unread."""
        stats = self.stats()
        delay = float(stats["delay"])
        problem = None
        if stats["encrypted"] or stats["unread"]:
            kinds = {"encrypted": "spoke TLS", "unread": "spoke something else"}
            words = [f"{stats[key]} connections {words}" for key, words in kinds.items() if stats[key]]
            problem = f"{' and '.join(words)}: their queries cannot be read"
        elif not stats["meant"]:
            problem = "no query was asked" if not stats["queries"] else "no query matched"
        elif not stats["done"]:
            problem = "no query has been held back for as long as was asked yet"
        elif delay < ENOUGH * self.plan.delay:
            problem = f"queries came only {format_duration(delay)} later"
        evidence = (
            f"{problem or 'as asked'}: {stats['meant']} of {stats['queries']} queries held back, by {format_duration(delay)} "
            f"in the mean (asked {format_duration(self.plan.delay)}); {self.met(stats)}; {self.own_cost()}"
        )
        measured = delay if stats["done"] else None
        return Proof(held=problem is None, evidence=evidence, asked=self.plan.delay, measured=measured, unit="s")
