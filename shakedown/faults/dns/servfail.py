"""dns-servfail: the nameserver says that it failed; clients with several nameservers ask the next one, which is ours too."""

from typing import Any

from shakedown.faults.dns.lookups import LookUpFault
from shakedown.plan.faults.dns import DnsServfail

__all__ = ["ServfailFault"]


class ServfailFault(LookUpFault[DnsServfail]):
    """The fault."""

    kind = "dns-code"

    def options(self) -> dict[str, Any]:
        """Which code."""
        return {"code": "SERVFAIL"}
