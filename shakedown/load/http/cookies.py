"""The cookies of one user, as browsers keep them (RFC 6265, without what needs a list of public suffixes)."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

__all__ = ["Jar"]

MOST, LONGEST = 180, 4096  # cookies, and bytes of each: a service cannot fill our memory with them
_ABOUT_FOREVER = float("inf")


@dataclass(slots=True)
class _Cookie:
    name: str
    value: str
    host: str
    path: str
    subdomains: bool
    secure: bool
    expires: float


class Jar:
    """Cookies, and which of them go with a request."""

    def __init__(self) -> None:
        self._cookies: dict[tuple[str, str, str], _Cookie] = {}

    def __bool__(self) -> bool:
        return bool(self._cookies)

    def clear(self) -> None:
        """Forget all of them."""
        if self._cookies:
            self._cookies = {}

    def take(self, fields: Iterable[str], host: str, path: str) -> bool:
        """Keep what Set-Cookie fields of an answer say; true when that changed anything.

        Args:
            path: that was asked for, without its query.
        """
        changed = False
        for field in fields:
            cookie = _parsed(field, host, path)
            if cookie is None:
                continue
            key = (cookie.host, cookie.path, cookie.name)
            if cookie.expires <= time.time():
                changed |= self._cookies.pop(key, None) is not None
            elif key in self._cookies or len(self._cookies) < MOST:
                old = self._cookies.get(key)
                changed |= old is None or old.value != cookie.value
                self._cookies[key] = cookie
        return changed

    def header(self, host: str, path: str, *, secure: bool) -> str:
        """The value of the Cookie field for a request; empty when none goes with it."""
        now = time.time()
        fitting = [
            cookie
            for cookie in self._cookies.values()
            if (cookie.host == host or (cookie.subdomains and host.endswith(f".{cookie.host}")))
            and _under(path, cookie.path)
            and (secure or not cookie.secure)
            and cookie.expires > now
        ]
        fitting.sort(key=lambda cookie: -len(cookie.path))  # the most particular first
        return "; ".join(f"{cookie.name}={cookie.value}" for cookie in fitting)

    def value(self, name: str) -> str | None:
        """What a cookie of that name holds, wherever it goes; None when there is none."""
        return next((cookie.value for cookie in self._cookies.values() if cookie.name == name), None)


def _under(path: str, limit: str) -> bool:
    return path == limit or (
        path.startswith(limit) and (limit.endswith("/") or path[len(limit) : len(limit) + 1] == "/")
    )


def _parsed(field: str, host: str, path: str) -> _Cookie | None:
    """A cookie, or None when it is none or not for this host."""
    if len(field) > LONGEST:
        return None
    pair, *attributes = field.split(";")
    name, equals, value = pair.partition("=")
    name = name.strip()
    if not equals or not name:
        return None
    cookie = _Cookie(
        name, value.strip(), host, _default_path(path), subdomains=False, secure=False, expires=_ABOUT_FOREVER
    )
    max_age = False
    for attribute in attributes:
        key, _, content = attribute.partition("=")
        key, content = key.strip().lower(), content.strip()
        if key == "path" and content.startswith("/"):
            cookie.path = content
        elif key == "secure":
            cookie.secure = True
        elif key == "domain" and content:
            domain = content.lstrip(".").lower()
            if domain != host and not (host.endswith(f".{domain}") and "." in domain):
                return None
            cookie.host, cookie.subdomains = domain, True
        elif key == "max-age" and content.lstrip("-").isdecimal():
            max_age = True
            cookie.expires = time.time() + min(int(content[:12]), 10**10) if not content.startswith("-") else 0.0
        elif key == "expires" and not max_age:
            try:
                cookie.expires = parsedate_to_datetime(content).timestamp()
            except (ValueError, OverflowError, TypeError):
                continue
    return cookie


def _default_path(path: str) -> str:
    folder = path.rpartition("/")[0]
    return folder or "/"
