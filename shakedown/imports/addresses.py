"""Where requests go: one scheme, host and port, as the service's `url`."""

from urllib.parse import SplitResult, urlsplit

from shakedown.errors import UsageError

__all__ = ["checked_url", "origin", "split_address", "target_of"]

_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:")
_PORTS = {"http": 80, "https": 443}


def split_address(url: str) -> SplitResult | None:
    """The parts of an http or https address; None when it is none."""
    try:
        parts = urlsplit(url.strip())
        if parts.scheme.lower() not in _PORTS or not parts.hostname or parts.port == 0:
            return None
    except ValueError:  # brackets that do not close, a port beyond 65535
        return None
    return parts if set(_ascii(parts.hostname)) <= _LETTERS else None


def _ascii(host: str) -> str:
    """A host with letters of any language, as names are looked up; as it is when that fails."""
    try:
        return host if host.isascii() else host.encode("idna").decode("ascii")
    except UnicodeError:
        return host


def origin(parts: SplitResult) -> str:
    """Scheme, host and port, the port only when it is not the scheme's own; no user, no password."""
    host = _ascii(parts.hostname or "").lower()
    if ":" in host:
        host = f"[{host}]"
    scheme = parts.scheme.lower()
    port = f":{parts.port}" if parts.port not in (None, _PORTS[scheme]) else ""
    return f"{scheme}://{host}{port}"


def target_of(parts: SplitResult) -> str:
    """Path and query."""
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def checked_url(url: str) -> str:
    """The address that `--url` gives, as the service's `url`.

    Raises:
        UsageError: it is no http or https address, or has more than scheme, host and port.
    """
    parts = split_address(url)
    if parts is None or parts.username is not None:
        raise UsageError(f"--url is no address: {url!r}; write http://127.0.0.1:8000 or https://name")
    if parts.path not in ("", "/") or parts.query:
        raise UsageError(f"--url takes scheme, host and port alone here, not {url!r}")
    return origin(parts)
