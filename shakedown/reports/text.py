"""Untrusted text in Markdown: whatever a system answered, a log said or somebody named, it can break neither table nor page."""

import re

from markupsafe import escape as markup

__all__ = ["capital", "code", "escape", "fenced", "html", "one_line", "sentence", "shortened", "unlinked"]

LONGEST = 600
FIRST_LINES, LAST_LINES, WIDEST = 6, 34, 240  # of a traceback: how it was called, and above all where it ended
# Control characters of ASCII and Latin-1, line and paragraph separators, and marks that turn the direction of text.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]+")
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|#~$])")
_LIST = re.compile(
    r"^(?:([-+=])(?=[-+=\s]|$)|(\d{1,9})([.)])(?=\s|$))"
)  # what would begin a list or underline a heading
_LINK = re.compile(r"(?<!\\)\[(finding \d+)\]\(#finding-\d+\)")
_ENDS = (".", "!", "?", "…", ":")


def one_line(value: object, longest: int = LONGEST) -> str:
    """Any text as one line, cut where it gets too long to be read in a table."""
    text = _CONTROL.sub(" ", str(value)).strip()
    return text if len(text) <= longest else text[: longest - 1] + "…"


def escape(value: object) -> str:
    """Any text as one line of plain Markdown, which shows as it was written."""
    text = _SPECIAL.sub(r"\\\1", one_line(value).replace("&", "&amp;"))
    return _LIST.sub(lambda found: f"\\{found[1]}" if found[1] else f"{found[2]}\\{found[3]}", text)


def code(value: object) -> str:
    """Any text as inline code; as plain text where it has what inline code cannot hold in every viewer's table."""
    text = one_line(value)
    if not text:
        return ""
    return escape(text) if "`" in text or "|" in text or text.endswith("\\") else f"`{text}`"


def sentence(value: object) -> str:
    """Escaped text that ends like a sentence."""
    text = escape(value)
    return text if not text or text.endswith(_ENDS) else f"{text}."


def fenced(value: str, language: str = "") -> str:
    """Text as a code block, inside a fence longer than any run of backticks in it."""
    text = "".join(character for character in value if character in "\n\t" or not _CONTROL.match(character))
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall(r"`+", text)), default=0))
    return f"{fence}{language}\n{text}\n{fence}"


def html(value: object) -> str:
    """Any text as one line of HTML's text."""
    return str(markup(one_line(value)))


def capital(value: str) -> str:
    """Text that begins like a sentence."""
    return value[:1].upper() + value[1:]


def shortened(value: str) -> str:
    """A long text with its middle left out, and with long lines cut: of a traceback the end says most."""
    lines = [line if len(line) <= WIDEST else f"{line[: WIDEST - 1]}…" for line in value.splitlines()]
    left = len(lines) - FIRST_LINES - LAST_LINES
    if left > 1:
        lines[FIRST_LINES:-LAST_LINES] = [f"… {left} lines are left out …"]
    return "\n".join(lines)


def unlinked(markdown: str) -> str:
    """The same text without the report's links to its own parts: for viewers that show addresses instead."""
    return _LINK.sub(r"\1", markdown)
