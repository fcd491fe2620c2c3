"""A text that matches a regular expression, for the plain expressions that people write into schemas.

Literals, classes, groups, alternatives, quantifiers and anchors at the ends; of an alternative the first is taken. What
goes beyond (look-around, back-references, flags) gives no text: better none than one that does not match.
"""

import re

__all__ = ["matching"]

_LONGEST_PATTERN = 300
_LONGEST = 500
_DEEPEST = 20
_MOST_EXTRA = 64
_CLASSES = {"d": "1", "w": "a", "s": " ", "D": "a", "W": "-", "S": "a"}
_CONTROLS = {"n": "\n", "r": "\r", "t": "\t"}
_SETS = ("[", "&&", "--", "||", "~~")  # inside a class: what `re` may read as operations on sets one day
_ORDER = "aA0-_.1b zZ/:@#9!"  # tried for a class that says what it must not be
_QUANTIFIER = re.compile(r"([*+?]|\{(\d{1,4})(,(\d{0,4}))?\})\??")


class _NotPlainError(Exception):
    """The expression goes beyond what is read here."""


def matching(pattern: str, least: int = 0, most: int | None = None) -> str | None:
    """A text that matches and has `least` to `most` letters; None when none could be made."""
    if len(pattern) > _LONGEST_PATTERN:
        return None
    for extra in range(_MOST_EXTRA):
        try:
            text = _Reader(pattern, extra).whole()
        except _NotPlainError:
            return None
        if len(text) >= least:
            return text if most is None or len(text) <= most else None
    return None


class _Reader:
    """Reads an expression and makes the text while reading; each quantifier repeats `extra` times more than it must."""

    def __init__(self, pattern: str, extra: int) -> None:
        self._text = pattern
        self._extra = extra
        self._at = 0

    def whole(self) -> str:
        made = self._alternatives(0)
        if self._at < len(self._text):
            raise _NotPlainError
        return made

    def _peek(self, count: int = 1) -> str:
        return self._text[self._at : self._at + count]

    def _alternatives(self, depth: int) -> str:
        if depth > _DEEPEST:
            raise _NotPlainError
        first = self._sequence(depth)
        while self._peek() == "|":
            self._at += 1
            self._sequence(depth)  # read for its end only
        return first

    def _sequence(self, depth: int) -> str:
        start, made = self._at, ""
        while self._peek() not in ("", "|", ")"):
            if self._peek() == "^":
                if self._at != start or depth:
                    raise _NotPlainError
                self._at += 1
                continue
            if self._peek() == "$":
                self._at += 1
                if depth or self._peek() not in ("", "|"):
                    raise _NotPlainError
                continue
            made += self._repeated(self._atom(depth))
            if len(made) > _LONGEST:
                raise _NotPlainError
        return made

    def _repeated(self, atom: str) -> str:
        match = _QUANTIFIER.match(self._text, self._at)
        if match is None:
            if self._peek() in ("{", "*", "+", "?"):
                raise _NotPlainError
            return atom
        self._at = match.end()
        if _QUANTIFIER.match(self._text, self._at) or self._peek() == "+":
            raise _NotPlainError
        if match[2] is None:
            low, high = (1 if match[1][0] == "+" else 0), (1 if match[1][0] == "?" else _LONGEST)
        else:
            low = int(match[2])
            high = low if match[3] is None else int(match[4] or _LONGEST)
        if low > high or low * len(atom) > _LONGEST:
            raise _NotPlainError
        return atom * min(high, low + self._extra)

    def _atom(self, depth: int) -> str:
        letter = self._peek()
        self._at += 1
        if letter == "(":
            if self._peek() == "?":
                if self._peek(2) != "?:":
                    raise _NotPlainError
                self._at += 2
            made = self._alternatives(depth + 1)
            if self._peek() != ")":
                raise _NotPlainError
            self._at += 1
            return made
        if letter == "[":
            return self._class()
        if letter == "\\":
            return self._escape()
        if letter in "*+?{":
            raise _NotPlainError
        return "a" if letter == "." else letter

    def _escape(self) -> str:
        letter = self._peek()
        self._at += 1
        if letter in _CLASSES:
            return _CLASSES[letter]
        if letter in _CONTROLS:
            return _CONTROLS[letter]
        if not letter or letter.isalnum():
            raise _NotPlainError
        return letter

    def _class(self) -> str:
        """`[...]`, as the plain members of a class; a small expression of its own, so that `re` may judge it."""
        end = self._at + (1 if self._peek() == "^" else 0)
        end += 1 if self._text[end : end + 1] == "]" else 0
        while self._text[end : end + 1] not in ("", "]"):
            end += 2 if self._text[end] == "\\" else 1
        inside = f"[{self._text[self._at : end]}]"
        if end >= len(self._text) or any(sign in inside[1:] for sign in _SETS):
            raise _NotPlainError
        self._at = end + 1
        try:
            one = re.compile(inside)
        except re.error:
            raise _NotPlainError from None
        found: str | None = next(
            (letter for letter in [*_ORDER, *map(chr, range(0x20, 0x250))] if one.fullmatch(letter)), None
        )
        if found is None:
            raise _NotPlainError
        return found
