"""dns-timeout: queries are swallowed; how long the client waits for each, and how often it asks again, is its own affair."""

from shakedown.faults.dns.lookups import LookUpFault
from shakedown.plan.faults.dns import DnsTimeout

__all__ = ["TimeoutFault"]


class TimeoutFault(LookUpFault[DnsTimeout]):
    """The fault."""

    kind = "dns-silence"
    proof = "the target's queries that were not answered, counted by name"
