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


def acknowledgement(outcome: Outcome, kind: str) -> Acknowledgement:
    """What the client may rely on: only an answer is an answer."""
    if outcome is Outcome.OK or kind == "extract":  # all checks held: the service has said that it has it
        return Acknowledgement.ACKNOWLEDGED
    if outcome is Outcome.FAILED and kind in ("status", "check", "refused", "dns"):
        return Acknowledgement.REFUSED
    return Acknowledgement.UNKNOWN
