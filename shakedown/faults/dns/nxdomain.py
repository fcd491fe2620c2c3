"""dns-nxdomain: chosen names do not exist.

The answer has no SOA record, so that no client remembers it beyond the fault (RFC 2308, section 5).
"""

from typing import Any

from shakedown.faults.dns.lookups import LookUpFault
from shakedown.plan.faults.dns import DnsNxdomain

__all__ = ["NxdomainFault"]


class NxdomainFault(LookUpFault[DnsNxdomain]):
    """The fault."""

    kind = "dns-code"

    def options(self) -> dict[str, Any]:
        """Which code."""
        return {"code": "NXDOMAIN"}
