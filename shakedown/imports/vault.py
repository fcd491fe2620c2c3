"""Secrets of what was recorded: each is replaced by a variable, and none reaches the plan."""

import re
from urllib.parse import unquote

from shakedown.imports.shell import VARIABLE
from shakedown.imports.text import PlanText, compose, slug
from shakedown.plan.secrets import looks_secret

__all__ = ["PLACEHOLDER", "Vault", "is_secret_name", "name_for"]

PLACEHOLDER = "replace-me"
# Names of parameters and fields that say nothing on their own, but nearly always carry a secret.
_ALSO = frozenset({"key", "sig", "signature", "jwt", "sid", "session", "sessionid", "otp", "phpsessid", "jsessionid"})
# Where secrets stand in any text: a signed token (three base64url parts, the first of which begins with `{"`), a field
# of JSON, a part of a multipart body, a parameter of a query or form.
_PLACES = re.compile(
    r"(?P<jwt>eyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{5,})"
    r'|(?:"(?P<field>[^"\\]{1,80})"\s{0,20}:\s{0,20}")(?P<text>(?:[^"\\]|\\.)+)(?=")'
    r'|(?:name="(?P<part>[^"\r\n]{1,80})"(?:;[^\r\n]{0,200})?\r\n(?:[^\r\n]{1,200}\r\n){0,5}\r\n)(?P<content>[^\r\n]+)(?=\r\n--)'
    r"|(?:(?:^|[?&;])(?P<parameter>[^=&?;\s\"]{1,80})=)(?P<value>[^&;\s#]+)",
    re.MULTILINE | re.DOTALL,
)
_PLACES_AND_MARKS = re.compile(rf"\0(?P<mark>[A-Za-z_][A-Za-z0-9_]*)\0|{_PLACES.pattern}", _PLACES.flags)
_PLACE_NAMES = {"text": "field", "content": "part", "value": "parameter"}  # the groups of a value and its name
_SCHEMES = {"bearer": "API_TOKEN", "basic": "BASIC_TOKEN", "digest": "DIGEST_TOKEN", "token": "API_TOKEN"}


def is_secret_name(name: str) -> bool:
    """Whether a header, parameter or field of this name carries a secret."""
    return name.lower() in _ALSO or looks_secret(name)


def name_for(method: str, path: PlanText) -> str:
    """A request's name from its method and its path, whose secrets are variables by now."""
    return slug(f"{method}-{re.sub(r'[$][{][^}]*[}]', '', path).split('?', 1)[0]}", method)


class Vault:
    """The variables that stand for secrets, each with what it stands for.

    The same secret is the same variable; another secret of the same name gets a number.

    Args:
        marks: texts come from `split_command`, whose marks of the shell's variables become the plan's.

    Attributes:
        variables: what to tell the user about each variable.
    """

    def __init__(self, *, marks: bool = False) -> None:
        self.marks = marks
        self.variables: dict[str, str] = {}
        self._names: dict[tuple[str, str], str] = {}

    def variable(self, name: str, secret: str, note: str, default: str = PLACEHOLDER) -> PlanText:
        """A reference to the variable that stands for a secret.

        Args:
            name: what the variable should be called.
            secret: what was recorded; only compared, never kept in any output.
            note: what the user has to put into it.
            default: what it is until it is set.
        """
        return PlanText("${" + self._name(name, secret, note) + ":-" + default + "}")

    def _name(self, name: str, secret: str, note: str) -> str:
        base = re.sub(r"[^A-Z0-9]+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name[:200]).upper()).strip("_")
        base = (base if base[:1].isalpha() else f"SECRET_{base}".rstrip("_"))[:48]
        if (base, secret) not in self._names:
            found, number = base, 1
            while found in self.variables:
                number += 1
                found = f"{base}_{number}"
            self._names[base, secret] = found
            self.variables[found] = note
        return self._names[base, secret]

    def header(self, name: str, value: str) -> PlanText | None:
        """A header's value with its secret replaced; None when the header carries none."""
        lower = name.lower()
        if self.marks and VARIABLE.search(value):  # the user keeps it in a variable already
            return self.text(value)
        if lower == "cookie":
            return self.variable("SESSION_COOKIE", value, "the Cookie header: name=value; name=value")
        if lower in ("authorization", "proxy-authorization"):
            scheme, space, rest = value.strip().partition(" ")
            if not space:
                return self.variable("AUTHORIZATION_TOKEN", value, f"the whole {name} header")
            word = scheme.lower()
            note = "base64 of user:password" if word == "basic" else f"what follows `{scheme[:20]}` in {name}"
            variable = self.variable(_SCHEMES.get(word, "AUTHORIZATION_TOKEN"), rest, note)
            return compose(scheme, " ", variable)
        if is_secret_name(name):
            return self.variable(name, value, f"the header {name}")
        return None

    def text(self, text: str) -> PlanText:
        """Any recorded text as plan text, what is secret in it (see `_PLACES`) replaced."""
        found: list[str] = []
        done = position = 0
        places = _PLACES_AND_MARKS if self.marks else _PLACES
        while match := places.search(text, position):
            position = match.end()
            start, variable = self._place(match)
            if variable is None:
                position = max(match.start() + 1, self._resume(match))
                continue
            found += [text[done:start], variable]
            done = position
        return compose(*found, text[done:])

    def _place(self, match: re.Match[str]) -> tuple[int, PlanText | None]:
        """Where the secret of a match begins, and the variable for it; None when it is none."""
        if self.marks and match["mark"] is not None:
            self.variables.setdefault(match["mark"], "a variable of the command")
            return match.start(), PlanText("${" + match["mark"] + ":-" + PLACEHOLDER + "}")
        if match["jwt"] is not None:
            return match.start(), self.variable("JWT_TOKEN", match["jwt"], "a signed token (JWT)")
        kind = _kind(match)
        name = match[_PLACE_NAMES[kind]]
        name = unquote(name)
        if not is_secret_name(name) or (self.marks and "\0" in match[kind]):
            return 0, None
        return match.start(kind), self.variable(name, match[kind], f"the field or parameter `{name}`")

    @staticmethod
    def _resume(match: re.Match[str]) -> int:
        """Where to look on after a field that is not secret: inside its value, where a token may stand."""
        return match.start(_kind(match))


def _kind(match: re.Match[str]) -> str:
    """Which of the places with a name and a value it is."""
    return next(kind for kind in _PLACE_NAMES if match[kind] is not None)
