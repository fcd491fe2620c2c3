"""What must never reach a log, a database or a report."""

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from shakedown.plan.model import Plan, Secret

__all__ = ["REDACTED", "Redactor", "find_secrets", "looks_secret"]

REDACTED = "********"
_NAMES = re.compile(
    r"(pass(word|wd|phrase)?|secret|token|credential|api_?key|private_?key|access_?key|auth)\b", re.IGNORECASE
)
_USERINFO = re.compile(r"(?<=://)([^\s/@:]+):([^\s/@]+)@")
# A secret of one or two characters would blank out half of every text; such values are no secrets.
_SHORTEST = 4


def looks_secret(name: str) -> bool:
    """Whether a variable's or header's name says that its value is secret."""
    return _NAMES.search(name.replace("-", "_")) is not None


def find_secrets(plan: Plan) -> frozenset[str]:
    """Every secret value that the plan holds, with what URLs carry between `//` and `@`."""
    found: set[str] = set()

    def take(name: str, value: object) -> None:
        text = value.value if isinstance(value, Secret) else str(value)
        if isinstance(value, Secret) or looks_secret(name):
            found.add(text)
        if "://" in text:
            found.update(_password(text))

    for service in plan.services.values():
        for name, value in service.environment.items():
            take(name, value)
    for suite in plan.suites.values():
        for name, value in suite.environment.items():
            take(name, value)
    for scenario in plan.scenarios.values():
        for request in scenario.http.requests:
            for name, value in {**scenario.http.headers, **request.headers}.items():
                if looks_secret(name) or name.lower() == "authorization":
                    found.add(value)
                    found.add(value.split(" ", 1)[-1])
    return frozenset(secret for secret in found if len(secret) >= _SHORTEST)


def _password(url: str) -> Iterable[str]:
    try:
        password = urlsplit(url).password
    except ValueError:
        return ()
    return (password,) if password else ()


class Redactor:
    """Replaces secrets in any text."""

    def __init__(self, secrets: Iterable[str]) -> None:
        ordered = sorted({secret for secret in secrets if secret}, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, ordered))) if ordered else None

    def redact(self, text: str) -> str:
        """The text without any secret, and without passwords in URLs."""
        if self._pattern is not None:
            text = self._pattern.sub(REDACTED, text)
        return _USERINFO.sub(rf"\1:{REDACTED}@", text)
