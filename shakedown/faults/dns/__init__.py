"""Faults of a service's look-ups of names.

=============  ============================================================
lookups        what they have in common: names, rules, the resolver's counts
nxdomain       there is no such name
servfail       the nameserver fails
timeout        the nameserver is silent
slow           the nameserver is slow
wrong_address  the name leads elsewhere
=============  ============================================================
"""

from typing import Any

from shakedown.faults.base import Fault
from shakedown.faults.dns.nxdomain import NxdomainFault
from shakedown.faults.dns.servfail import ServfailFault
from shakedown.faults.dns.slow import SlowFault
from shakedown.faults.dns.timeout import TimeoutFault
from shakedown.faults.dns.wrong_address import WrongAddressFault

__all__ = ["FAULTS"]

FAULTS: dict[str, type[Fault[Any]]] = {
    "dns-nxdomain": NxdomainFault,
    "dns-servfail": ServfailFault,
    "dns-timeout": TimeoutFault,
    "dns-slow": SlowFault,
    "dns-wrong-address": WrongAddressFault,
}
