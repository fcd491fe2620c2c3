"""How TLS is spoken with a target."""

import ssl
from pathlib import Path

from shakedown.errors import LoadError
from shakedown.plan.requests import Tls

__all__ = ["context_of"]


def context_of(tls: Tls | None, base: Path) -> ssl.SSLContext:
    """A client's TLS context; made once, for it reads certificates.

    Raises:
        LoadError: a certificate or key cannot be read.
    """
    if tls is None:
        return ssl.create_default_context()
    try:
        context = ssl.create_default_context(cafile=str(base / tls.ca) if tls.ca is not None else None)
        if tls.certificate is not None:
            key = str(base / tls.key) if tls.key is not None else None
            # Without a password of ours, a key that has one would ask for it at the terminal.
            context.load_cert_chain(str(base / tls.certificate), key, password=lambda: "")
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise LoadError(f"the TLS files {tls.ca or ''} {tls.certificate or ''} cannot be used: {error}") from error
    if tls.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
