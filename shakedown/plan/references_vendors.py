"""What is wrong with a service in a vendor's place: files that are not there, calls that nobody has allowed."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from shakedown.plan.hosts import is_loopback
from shakedown.plan.services import DockerService, ProxyService, StubService, VendorService

if TYPE_CHECKING:
    from shakedown.plan.model import Plan

__all__ = ["vendor_problems"]

VendorProblem = tuple[tuple[str | int, ...], str, str | None]  # where in the service, what is wrong, a hint


def vendor_problems(service: VendorService, plan: "Plan", base: Path) -> Iterator[VendorProblem]:
    """What is wrong with it in this plan."""
    for where, name in _files(service):
        if not (base / name).is_file():
            yield where, f"no such file: {name}", None
    if isinstance(service, ProxyService):
        yield from _other_side(service, plan)


def _files(service: VendorService) -> Iterator[tuple[tuple[str | int, ...], str]]:
    if isinstance(service, StubService):
        for index, route in enumerate(service.stub.routes):
            if route.file is not None:
                yield ("stub", "routes", index, "file"), route.file
        key, tls = "stub", service.stub.tls
    else:
        assert isinstance(service, ProxyService)  # noqa: S101 - there is no third kind
        key, tls = "proxy", service.proxy.tls
        if service.proxy.ca is not None:
            yield (key, "ca"), service.proxy.ca
    if tls is not None:
        yield (key, "tls", "certificate"), tls.certificate
        yield (key, "tls", "key"), tls.key


def _other_side(service: ProxyService, plan: "Plan") -> Iterator[VendorProblem]:
    host, where = service.proxy.host, ("proxy", "to")
    named = {alias: one for one in plan.services.values() if isinstance(one, DockerService) for alias in one.aliases}
    other = plan.services.get(host) or named.get(host)
    if other is service:
        yield where, f"`{host}` is the proxy itself", None
    elif isinstance(other, DockerService):
        port = urlsplit(service.proxy.to).port or (443 if service.proxy.to.startswith("https:") else 80)
        if other.ports and port not in other.ports.values():
            yield where, f"`{host}` has no port {port}; it has {', '.join(map(str, other.ports.values()))}", None
    elif is_loopback(host):
        yield where, f"inside the proxy's container, {host} is that container; name a service of the plan", None
    elif not service.proxy.allow:
        yield (
            where,
            f"calls would be handed on to {host}, which is not on this machine",
            "say `allow: true` beside `to`, if they may",
        )
