"""A shell command as words, without a shell: quotes and escapes are read, nothing is ever run or looked up.

Beyond what the standard library's `shlex` reads: `$'…'` (what browsers copy), lines continued with a backslash, and
variables, which become variables of the plan.
"""

import re

from shakedown.errors import UsageError

__all__ = ["VARIABLE", "split_command"]

# A variable inside a word, between two zero bytes, which no argument of a program can hold.
VARIABLE = re.compile("\0([A-Za-z_][A-Za-z0-9_]*)\0")

_NAME = re.compile(r"\$(?:\{([A-Za-z_]\w*)\}|([A-Za-z_]\w*))", re.ASCII)
_ENDS = frozenset("|;<>()`&")
_ANSI = re.compile(r"\\(?:x([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{1,4})|U([0-9a-fA-F]{1,8})|([0-7]{1,3})|(.))", re.DOTALL)
_LETTERS = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "e": "\x1b", "E": "\x1b", "f": "\f", "v": "\v"}


def split_command(command: str) -> list[str]:
    """The words of one command.

    Raises:
        UsageError: a quote is not closed, or it holds what only a shell could carry out.
    """
    if "\0" in command:
        raise UsageError("the command holds a zero byte")
    return _Words(command).all()


class _Words:
    def __init__(self, command: str) -> None:
        self._text = command
        self._at = 0
        self._words: list[str] = []
        self._word: list[str] | None = None

    def all(self) -> list[str]:
        while self._at < len(self._text):
            self._step(self._text[self._at])
        self._end_word()
        return self._words

    def _end_word(self) -> None:
        if self._word is not None:
            self._words.append("".join(self._word))
        self._word = None

    def _add(self, text: str) -> None:
        if self._word is None:
            self._word = []
        self._word.append(text)

    def _step(self, letter: str) -> None:
        rest = self._text[self._at : self._at + 2]
        if letter.isspace():
            self._end_word()
            self._at += 1
        elif letter == "'":
            self._single()
        elif letter == '"':
            self._double()
        elif rest == "$'":
            self._ansi()
        elif letter == "\\":
            self._escape(everything=True)
        elif letter == "$":
            self._variable()
        elif letter in _ENDS:
            raise self._not_run(letter)
        else:
            self._add(letter)
            self._at += 1

    def _not_run(self, what: str) -> UsageError:
        return UsageError(
            f"the command holds `{what}` outside quotes at character {self._at + 1}; only one curl command is read, and no shell is started",
            hint="put addresses and values in single quotes; give the one command alone",
        )

    def _single(self) -> None:
        end = self._text.find("'", self._at + 1)
        if end < 0:
            raise UsageError(f"the single quote at character {self._at + 1} is not closed")
        self._add(self._text[self._at + 1 : end])
        self._at = end + 1

    def _double(self) -> None:
        start = self._at
        self._add("")
        self._at += 1
        while self._at < len(self._text):
            letter = self._text[self._at]
            if letter == '"':
                self._at += 1
                return
            if letter == "\\":
                self._escape(everything=False)
            elif letter == "$":
                self._variable()
            elif letter == "`":
                raise self._not_run("`")
            else:
                self._add(letter)
                self._at += 1
        raise UsageError(f"the double quote at character {start + 1} is not closed")

    def _escape(self, *, everything: bool) -> None:
        """A backslash; inside double quotes it acts on a few letters alone."""
        following = self._text[self._at + 1 : self._at + 2]
        if self._text.startswith("\\\r\n", self._at):
            self._at += 3
        elif following == "\n":
            self._at += 2
        elif everything or following in ('"', "\\", "$", "`"):
            self._add(following)
            self._at += 2
        else:
            self._add("\\")
            self._at += 1

    def _variable(self) -> None:
        match = _NAME.match(self._text, self._at)
        if match is not None:
            self._add(f"\0{match[1] or match[2]}\0")
            self._at = match.end()
        elif self._text[self._at + 1 : self._at + 2] in ("(", "{"):
            raise self._not_run(self._text[self._at : self._at + 2])
        else:
            self._add("$")
            self._at += 1

    def _ansi(self) -> None:
        match = re.compile(r"\$'((?:[^'\\]|\\.)*)'", re.DOTALL).match(self._text, self._at)
        if match is None:
            raise UsageError(f"the quote $' at character {self._at + 1} is not closed")
        self._add(_ANSI.sub(_ansi_letter, match[1]))
        self._at = match.end()


def _ansi_letter(match: re.Match[str]) -> str:
    code = match[1] or match[2] or match[3]
    number = int(code, 16) if code else int(match[4], 8) if match[4] else -1
    if number == 0 or number > 0x10FFFF:
        raise UsageError(f"`{match[0]}` is no character")
    if number > 0:
        return chr(number)
    return _LETTERS.get(match[5], match[5] if match[5] in "\\'\"?" else match[0])
