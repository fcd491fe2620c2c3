"""dns-wrong-address: chosen names lead to another address.

Queries for addresses of the other family, and for HTTPS and SVCB records, which may carry addresses too, are answered
with nothing; other types (MX, SRV, …) are passed on.
"""

from typing import Any

from shakedown.faults.dns.lookups import LookUpFault
from shakedown.plan.faults.dns import DnsWrongAddress
from shakedown.records.experiment import Proof

__all__ = ["WrongAddressFault"]


class WrongAddressFault(LookUpFault[DnsWrongAddress]):
    """The fault."""

    kind = "dns-wrong-address"
    proof = "the target's queries that were answered with the wrong address, counted by name"

    @property
    def shows(self) -> str:
        """For the report."""
        return self.plan.address

    def options(self) -> dict[str, Any]:
        """Which address, and how long it may be remembered."""
        return {"address": self.plan.address, "ttl": int(self.plan.ttl)}

    def effect(self) -> Proof:
        """Somebody was told the address itself, and not only that there is none of the other family."""
        stats = self.stats()
        number = int(stats["told"].get(self.plan.address, 0))
        return Proof(held=number > 0, evidence=self.answered(stats), measured=number, unit="queries")
