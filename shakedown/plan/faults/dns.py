"""Faults of a service's look-ups of names."""

import ipaddress
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from shakedown.plan.faults.base import FaultProblem, OnService
from shakedown.plan.values import Duration, Share

if TYPE_CHECKING:
    from shakedown.plan.model import Plan

__all__ = ["DnsFault", "DnsNxdomain", "DnsServfail", "DnsSlow", "DnsTimeout", "DnsWrongAddress", "OnLookUps"]

_HOST = re.compile(r"(\*\.)?([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*")
_LONGEST = 253  # characters of a name, RFC 1035

Record = Literal["A", "AAAA", "CNAME", "HTTPS", "MX", "NS", "PTR", "SOA", "SRV", "SVCB", "TXT"]
_WITH_ADDRESSES = ("A", "AAAA", "HTTPS", "SVCB")


def _as_host(value: object) -> object:
    """Lower case, without the last dot, other scripts as DNS writes them.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(value, str):
        return value
    name = value.lower().removesuffix(".")
    try:
        ipaddress.ip_address(name)
    except ValueError:
        pass
    else:
        raise ValueError(f"`{value}` is an address: nobody looks it up")
    if not name.isascii():
        try:
            star, rest = ("*.", name[2:]) if name.startswith("*.") else ("", name)
            name = star + rest.encode("idna").decode("ascii")
        except UnicodeError:
            raise ValueError(f"`{value}` is no name of a host") from None
    if len(name) > _LONGEST or not _HOST.fullmatch(name):
        raise ValueError(f"`{value}` is no name of a host; write redis, api.vendor.test or *.vendor.test")
    return name


Host = Annotated[str, BeforeValidator(_as_host)]


class OnLookUps(OnService):
    """A fault of the look-ups that a container makes."""

    names: list[Host] = Field(
        default=[],
        max_length=100,
        description="names that are meant: `redis`, `api.vendor.test`, or `*.vendor.test` for all below vendor.test; at "
        "most 100; default: every name",
    )
    records: list[Record] = Field(
        default=[], description="types of records that are meant: A, AAAA, SRV, …; default: every type"
    )
    share: Share = Field(
        default=1.0, gt=0, le=1, description="of the queries, 0 to 100%; drawn once for each from the run's seed"
    )

    def claims(self) -> frozenset[str]:
        """The names: two DNS faults cannot both answer one, nor one that another's `*.` means too."""
        base = f"{self.target}:dns"
        return frozenset(f"{base}:{name}" for name in self.names) or frozenset({base})

    def problems(self, plan: "Plan") -> Iterator[FaultProblem]:
        """The names are looked up at all."""
        yield from super().problems(plan)
        for index, name in enumerate(self.names):
            if name in ("localhost", self.target.lower()):
                yield (
                    ("names", index),
                    f"`{name}` stands in the container's own /etc/hosts: nobody asks a nameserver for it",
                    None,
                )


class DnsNxdomain(OnLookUps):
    """Chosen names do not exist: the target's queries for them are answered NXDOMAIN, not to be remembered."""

    type: Literal["dns-nxdomain"] = "dns-nxdomain"


class DnsServfail(OnLookUps):
    """The nameserver fails: the target's queries for chosen names are answered SERVFAIL."""

    type: Literal["dns-servfail"] = "dns-servfail"


class DnsTimeout(OnLookUps):
    """The nameserver is silent: the target's queries for chosen names are not answered, nor afterwards."""

    type: Literal["dns-timeout"] = "dns-timeout"


class DnsSlow(OnLookUps):
    """The nameserver is slow: the target's queries for chosen names get their real answers later."""

    type: Literal["dns-slow"] = "dns-slow"
    latency: Duration = Field(
        gt=0, le=60, description="seconds by which answers come later; at most 60 (most clients give up after 5)"
    )
    jitter: Duration = Field(
        default=0.0, ge=0, le=60, description="seconds by which the latency varies either way; at most the latency"
    )

    @model_validator(mode="after")
    def _not_before_asked(self) -> Self:
        if self.jitter > self.latency:
            raise ValueError(f"`jitter` ({self.jitter:g} s) is more than `latency` ({self.latency:g} s)")
        return self


class DnsWrongAddress(OnLookUps):
    """Chosen names lead elsewhere: the target's queries for their addresses are answered with another one."""

    type: Literal["dns-wrong-address"] = "dns-wrong-address"
    names: list[Host] = Field(
        min_length=1,
        max_length=100,
        description="names that are meant: `redis`, `api.vendor.test`, or `*.vendor.test` for all below vendor.test; 1 to "
        "100 of them",
    )
    address: str = Field(
        default="192.0.2.1",
        description="the address that is told, IPv4 or IPv6; none of a stranger: only documentation's (the default), "
        "private and loopback ones",
    )
    ttl: Duration = Field(
        default=0.0,
        ge=0,
        le=3600,
        description="seconds that a client may remember it, in whole seconds; at most 3600. A client that does is still "
        "misled after the fault",
    )

    @field_validator("records")
    @classmethod
    def _with_addresses(cls, records: list[Record]) -> list[Record]:
        for record in records:
            if record not in _WITH_ADDRESSES:
                raise ValueError(f"{record} records have no address; those that do are {', '.join(_WITH_ADDRESSES)}")
        return records

    @field_validator("address")
    @classmethod
    def _of_no_stranger(cls, text: str) -> str:
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            raise ValueError(f"`{text}` is no address; write 192.0.2.1 or 2001:db8::1") from None
        if address.is_global or address.is_multicast or address.is_link_local or "%" in text:
            raise ValueError(
                f"`{text}` may be somebody's, who would get the target's traffic; allowed are documentation's addresses "
                "(192.0.2.1, 2001:db8::1), private and loopback ones"
            )
        return str(address)


DnsFault = DnsNxdomain | DnsServfail | DnsTimeout | DnsSlow | DnsWrongAddress
