"""Where an answer sends its client next, and whether to go there."""

from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

from shakedown.load.http.connection import HttpAnswer
from shakedown.plan.requests import Redirects

__all__ = ["Hop", "Origin", "Redirected", "Route", "is_redirect"]

_STATUSES = frozenset({301, 302, 303, 307, 308})
_LONGEST = 8192


@dataclass(frozen=True, slots=True)
class Origin:
    """One service of one host. The name in requests may be another than the address that is connected to."""

    host: str
    port: int
    tls: bool
    name: str  # what stands in the Host field

    @property
    def url(self) -> str:
        """Its address."""
        return f"{'https' if self.tls else 'http'}://{self.name}"


@dataclass(frozen=True, slots=True)
class Hop:
    """The next request of a chain."""

    origin: Origin
    path: str
    method: str
    keeps_body: bool


class Redirected(Exception):  # noqa: N818 - a chain that leads nowhere: the service's fault, told and not raised at a user
    """A redirect that is not followed."""


def is_redirect(answer: HttpAnswer) -> bool:
    """Whether an answer sends its client elsewhere."""
    return answer.status in _STATUSES and "location" in answer.headers


class Route:
    """One request's way through redirects.

    Args:
        home: the target; whatever else is gone to must be allowed.
    """

    def __init__(self, rules: Redirects, home: Origin, path: str, method: str) -> None:
        self._rules, self._home = rules, home
        self.origin, self.path, self.method = home, path, method
        self.hops = 0
        self.sends_body = True
        self._seen = {(method, home.url, path)}

    @property
    def at_home(self) -> bool:
        """Whether the request is with its target, which alone is told who asks."""
        return self.origin is self._home

    def follow(self, answer: HttpAnswer, *, new_cookies: bool) -> Hop:
        """Go where an answer points.

        Args:
            new_cookies: it brought some; then the same address may well give another answer.

        Raises:
            Redirected: that is not to be.
        """
        self.hops += 1
        if self.hops > self._rules.max:
            raise Redirected(f"more than {self._rules.max} redirects")
        location = answer.headers["location"]
        if len(location) > _LONGEST:
            raise Redirected(f"a redirect to {len(location)} bytes of address")
        origin, path = self._aim(location)
        if answer.status == 303 and self.method != "HEAD":
            self.method, self.sends_body = "GET", False
        elif answer.status in (301, 302) and self.method == "POST":
            self.method, self.sends_body = "GET", False
        if new_cookies:
            self._seen.clear()
        step = (self.method, origin.url, path)
        if step in self._seen:
            raise Redirected(f"the redirects go round in a circle: {origin.url}{path} again")
        self._seen.add(step)
        self.origin, self.path = origin, path
        return Hop(origin, path, self.method, self.sends_body)

    def _aim(self, location: str) -> tuple[Origin, str]:
        try:
            parts = urlsplit(urljoin(self.origin.url + self.path, location.strip()))
            host, port = (parts.hostname or "").lower(), parts.port
        except ValueError:
            raise Redirected(f"a redirect to something that is no address: {location[:100]!r}") from None
        if parts.scheme not in ("http", "https") or not host:
            raise Redirected(f"a redirect to something that is no address: {location[:100]!r}")
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        if any(mark <= " " or mark == "\x7f" for mark in path):
            raise Redirected(f"a redirect to something that is no address: {location[:100]!r}")
        tls = parts.scheme == "https"
        port = port or (443 if tls else 80)
        home = self._home
        if tls == home.tls and (host, port) in ((home.host.lower(), home.port), _split(home.name, tls=tls)):
            return home, path
        if tls == self.origin.tls and (host, port) == (self.origin.host, self.origin.port):
            return self.origin, path
        name = f"[{host}]" if ":" in host else host
        if not any(allowed.lower() in (name, f"{name}:{port}") for allowed in self._rules.allow):
            raise Redirected(
                f"a redirect to {parts.scheme}://{name}:{port}, which `redirects: {{allow: […]}}` does not name"
            )
        default = port == (443 if tls else 80)
        return Origin(host, port, tls, name if default else f"{name}:{port}"), path


def _split(name: str, *, tls: bool) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{name}")
        return (parts.hostname or "").lower(), parts.port or (443 if tls else 80)
    except ValueError:
        return name, 0
