"""Types to faults."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from shakedown.faults import custom, databases, dns, http, network, resource, service
from shakedown.faults.base import Fault, FaultContext
from shakedown.plan.faults import FaultModel

__all__ = ["FAULTS", "build_fault"]

FAULTS: Mapping[str, type[Fault[Any]]] = MappingProxyType(
    {
        **service.FAULTS,
        **network.FAULTS,
        **http.FAULTS,
        **dns.FAULTS,
        **databases.FAULTS,
        **custom.FAULTS,
        **resource.FAULTS,
    }
)


def build_fault(plan: FaultModel, context: FaultContext) -> Fault[Any]:
    """The fault of a plan's entry; nothing is touched yet."""
    return FAULTS[plan.type](plan, context)
