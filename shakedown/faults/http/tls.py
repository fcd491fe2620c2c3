"""TLS that ends in the proxy: what it is given for it, and what it tells of it.

Certificate and key are read when the fault begins and go to the proxy over its standard input, with the order: no file, no
environment, no argument and no log holds them on the way (faults/agent/tls.py has the other end).
"""

from pathlib import Path
from typing import Any

from shakedown.errors import FaultRefusedError
from shakedown.plan.faults.http import OnRequests
from shakedown.plan.faults.tls import Tls
from shakedown.plan.model import Plan
from shakedown.plan.services import ProxyService, Service, StubService

__all__ = ["tls_of", "tls_order", "tls_problem", "tls_words"]


def tls_of(fault: OnRequests, plan: Plan) -> tuple[Tls, bool] | None:
    """What clients are shown, and whether the service's certificate must have the name that they called.

    Where the plan's fault says nothing, it is what the one stand-in among those called shows by itself: then its
    certificate alone is accepted there, under whatever name it is called.
    """
    if fault.tls is not None:
        return fault.tls, True
    called = [fault.target] if fault.direction == "in" else fault.peers
    own = [found for name in called if (found := _own(plan.services.get(name))) is not None]
    if fault.direction == "both" or len(own) != 1:
        return None
    certificate, key = own[0]
    return Tls(certificate=certificate, key=key, ca=certificate), False


def _own(service: Service | None) -> tuple[str, str] | None:
    tls = (
        service.stub.tls if isinstance(service, StubService)
        else service.proxy.tls if isinstance(service, ProxyService)
        else None
    )  # fmt: skip
    return None if tls is None else (tls.certificate, tls.key)


def tls_order(tls: Tls, base: Path, *, names: bool) -> dict[str, Any]:
    """What the proxy is told.

    Raises:
        FaultRefusedError: a file cannot be read, or no longer holds what it did when the plan was read.
    """
    for _, message, _ in tls.problems(base):
        raise FaultRefusedError(message)
    try:
        texts = {
            key: (base / name).read_text(encoding="ascii")
            for key, name in (("certificate", tls.certificate), ("key", tls.key), ("ca", tls.ca))
            if name is not None
        }
    except (OSError, UnicodeDecodeError) as error:
        raise FaultRefusedError(f"a certificate or key cannot be read: {error}") from error
    return {**texts, "verify": tls.verify, "names": names, "server_name": tls.server_name}


def tls_words(stats: dict[str, Any] | None) -> str:
    """What became of the connections that spoke TLS, for the evidence; empty where it did not end in the proxy."""
    if not stats:
        return ""
    versions = ", ".join(f"{name}: {number}" for name, number in stats["versions"].items())
    words = [f"TLS ended in the proxy on {stats['ended']} connections" + (f" ({versions})" if versions else "")]
    if not stats["verified"]:
        words.append("the service's certificate was not looked at")
    if stats["clear"]:
        words.append(f"{stats['clear']} connections without TLS")
    words += [
        f"{number} connections of clients that offer only {offered} left alone"
        for offered, number in stats["left_alone"].items()
    ]
    return "; ".join(words)


def tls_problem(stats: dict[str, Any] | None) -> str | None:
    """Why what clients felt was not the fault, but its certificates; None when that was not so."""
    if not stats:
        return None
    words = [f"{number} connections to the service failed: {why}" for why, number in stats["failed"].items()]
    words += [
        f"{number} clients did not accept the certificate given: {why}" for why, number in stats["refused"].items()
    ]
    return "; ".join(words) or None
