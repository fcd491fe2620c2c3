"""Where a service's packets come from and go to, as its container and its peers see it."""

import ipaddress
import socket
from urllib.parse import urlsplit

from shakedown.errors import FaultRefusedError
from shakedown.faults.base import FaultContext
from shakedown.plan.services import ExternalService

__all__ = ["addresses_of", "gateway_of"]


def addresses_of(context: FaultContext, service: str) -> list[str]:
    """Every address of a container, in all its networks; of an outside service, what its name resolves to here.

    Raises:
        FaultRefusedError: it has none that a packet could carry.
    """
    plan = context.system.plan.services[service]
    if isinstance(plan, ExternalService):
        found = _resolve(service, urlsplit(plan.url).hostname or "")
    else:
        networks = context.container(service).attrs["NetworkSettings"]["Networks"].values()
        found = [str(one[key]) for one in networks for key in ("IPAddress", "GlobalIPv6Address") if one.get(key)]
    if not found:
        raise FaultRefusedError(f"`{service}` has no address: no packet can be told to be its")
    return found


def _resolve(service: str, host: str) -> list[str]:
    try:
        found = {str(entry[4][0]) for entry in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except OSError as error:
        raise FaultRefusedError(f"`{service}`: {host} has no address: {error}") from error
    if any(ipaddress.ip_address(one).is_loopback for one in found):
        raise FaultRefusedError(f"`{service}` is at {host}, this machine's loopback: no container's packet goes there")
    return sorted(found)


def gateway_of(context: FaultContext, service: str) -> str | None:
    """This machine's address in a container's first network."""
    networks = context.container(service).attrs["NetworkSettings"]["Networks"].values()
    return next((str(one["Gateway"]) for one in networks if one.get("Gateway")), None)
