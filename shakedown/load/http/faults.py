"""What went wrong below an answer, by its class."""

import errno

from shakedown.load.http.connection import TransportFault
from shakedown.records.ledger import Acknowledgement
from shakedown.records.load import Outcome

__all__ = ["ANSWERED", "acknowledgement", "fault_of"]

# What this machine, not the service, has run out of.
OWN_LIMITS = frozenset({errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL, errno.ENOBUFS, errno.ENOMEM})
# The classes of failures in which an answer came.
ANSWERED = frozenset({"status", "check", "extract", "redirect"})


def fault_of(error: OSError, *, tls: bool) -> TransportFault:
    """Why no connection came about."""
    if isinstance(error, ConnectionRefusedError):
        kind = "refused"
    elif error.errno in OWN_LIMITS:
        kind = "local"
    elif type(error).__name__ == "gaierror":
        kind = "dns"
    elif type(error).__module__ == "ssl" or (tls and isinstance(error, ConnectionAbortedError | BrokenPipeError)):
        kind = "tls"
    elif isinstance(error, ConnectionError):
        kind = "reset"
    else:
        kind = "connect"
    return TransportFault(kind, str(error) or type(error).__name__)


def acknowledgement(
    outcome: Outcome, kind: str, status: int | None = None, *, refusal: bool = False
) -> Acknowledgement:
    """What the client may rely on: only an answer is an answer, and only some say that nothing was kept.

    An error of the server (5xx), or a redirect that was not followed, says nothing of what had been stored by then: what
    stands before the service may answer for it, and it may fail after the write.

    Args:
        status: of the answer, if there was one.
        refusal: the plan says that such an answer keeps nothing, whatever its status.
    """
    if outcome is Outcome.OK or kind == "extract":  # all checks held: the service has said that it has it
        return Acknowledgement.ACKNOWLEDGED
    if outcome is not Outcome.FAILED:
        return Acknowledgement.UNKNOWN
    if refusal or kind in ("refused", "dns"):
        return Acknowledgement.REFUSED
    plain = status is not None and (200 <= status < 300 or 400 <= status < 500)
    return Acknowledgement.REFUSED if plain and kind in ("status", "check") else Acknowledgement.UNKNOWN
