"""What the HTTP users of a load share: requests, the target, and what is told of errors."""

import re
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

from shakedown.load.http.connection import Heads, HttpAnswer
from shakedown.load.http.redirects import Origin
from shakedown.load.http.requests import PreparedRequest, home_of, prepare
from shakedown.load.http.tls import context_of
from shakedown.load.http.vu import HttpVu
from shakedown.plan.extracts import cookie_value
from shakedown.plan.secrets import REDACTED, Redactor, looks_secret, scenario_secrets

if TYPE_CHECKING:
    from shakedown.load.engine import Engine

__all__ = ["HttpDriver"]

SHOWN, READ = 160, 4096  # bytes of a body in an example, and those that are looked through for secrets
EXAMPLE = 300
_MEMBER = re.compile(r'"([\w-]+)"(\s*:\s*)("(?:[^"\\]|\\.)*"?|[^\s,{}\[\]"]+)|\b([\w-]+)=([^\s&;"]+)')
_SCHEMED = re.compile(r"\b(Bearer|Basic)\s+[\w+/=.~-]{4,}", re.IGNORECASE)


class HttpDriver:
    """Requests compiled once, and the users that send them.

    Attributes:
        home: the target.
        needs_names: whether any request is made, or any answer judged, with names of its own for each iteration.

    Raises:
        LoadError: a file or certificate cannot be read.
    """

    def __init__(self, engine: "Engine") -> None:
        spec = engine.spec
        http = spec.work.http
        self.engine = engine
        self.home: Origin = home_of(spec)
        self.rules = http.redirects
        self.cookie_life = http.cookie_life
        self.per_request = http.connection == "per-request"
        self.compression = http.compression
        self.server_name = http.tls.server_name if http.tls is not None else None
        self._tls_plan, self._base = http.tls, Path(spec.base)
        self._contexts: dict[bool, ssl.SSLContext] = {}
        if self.home.tls:
            self.tls(at_home=True)
        self.heads = Heads()
        prepared = iter(prepare(spec, engine.recorder))
        self._groups = [
            ([next(prepared) for _ in group.requests], group.mode == "weighted") for group in http.sequences
        ]
        self._weights = [group.weight for group in http.sequences]
        every = [request for requests, _ in self._groups for request in requests]
        first, drawn = self._groups[0]
        self.fixed = first if len(self._groups) == 1 and not (drawn and len(first) > 1) else None
        self.needs_names = any(request.constant is None or not request.plain for request in every)
        self._redactor = Redactor(scenario_secrets(spec.work))
        self._examples: dict[tuple[str, str], str] = {}

    async def open(self) -> None:
        """Connections are made by each user when it first needs one."""

    def vu(self, number: int) -> HttpVu:
        """A new user."""
        return HttpVu(number, self)

    def steps(self, iteration: int) -> list[PreparedRequest]:
        """The requests of one iteration, drawn."""
        context = self.engine.context
        number = context.draw(self._weights, iteration, 1) if len(self._groups) > 1 else 0
        requests, drawn = self._groups[number]
        if drawn:
            return [requests[context.draw([request.weight for request in requests], iteration, 2)]]
        return requests

    def tls(self, *, at_home: bool) -> ssl.SSLContext:
        """How TLS is spoken; with another host than the target, without the target's certificates and exceptions."""
        if at_home not in self._contexts:
            self._contexts[at_home] = context_of(self._tls_plan if at_home else None, self._base)
        return self._contexts[at_home]

    def example(self, kind: str, request: str, text: str, answer: HttpAnswer | None, taken: dict[str, object]) -> str:
        """What is shown of an error: made for the first of its kind, with the body's beginning and without secrets.

        Args:
            taken: the names that the iteration knew; those that sound secret are not shown.
        """
        known = self._examples.get((kind, request))
        if known is None:
            text = self._hidden(text, answer, taken)
            if answer is not None and answer.body:
                # Cut only when its secrets are gone: half a secret would not be known for one.
                shown = self._hidden(answer.body[:READ].decode(errors="replace"), answer, taken)[:SHOWN]
                text += ": " + "".join(mark if mark.isprintable() else " " for mark in shown)
            known = self._examples[kind, request] = text[:EXAMPLE]
        return known

    def _hidden(self, text: str, answer: HttpAnswer | None, taken: dict[str, object]) -> str:
        secrets = {str(value) for name, value in taken.items() if isinstance(value, str | int) and looks_secret(name)}
        row = taken.get("row")
        if isinstance(row, dict):
            secrets |= {str(value) for name, value in row.items() if looks_secret(str(name))}
        for field in answer.cookies if answer is not None else ():
            secrets.add(cookie_value([field], field.partition("=")[0].strip()) or "")
        text = Redactor(secret for secret in secrets if len(secret) > 3).redact(self._redactor.redact(text))
        return _SCHEMED.sub(rf"\1 {REDACTED}", _MEMBER.sub(_cover, text))

    async def close(self) -> None:
        """Each user closes its own connections."""


def _cover(match: re.Match[str]) -> str:
    """A member of JSON or a field of a form, without its value when its name sounds secret."""
    name, between, field = match[1], match[2], match[4]
    if name is not None and looks_secret(name):
        return f'"{name}"{between}"{REDACTED}"'
    if field is not None and looks_secret(field):
        return f"{field}={REDACTED}"
    return match[0]
