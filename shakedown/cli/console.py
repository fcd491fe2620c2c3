"""What a person sees: coloured on a terminal, plain elsewhere (and with NO_COLOR)."""

import sys
from typing import NoReturn

from rich.console import Console
from rich.markup import escape

from shakedown.errors import ExitCode, ShakedownError

__all__ = ["err", "fail", "out", "paint"]

out = Console(soft_wrap=True, highlight=False)
err = Console(stderr=True, soft_wrap=True, highlight=False)

_COLOURS = {
    "passed": "green", "failed": "bold red", "inconclusive": "yellow", "skipped": "dim", "error": "bold magenta",
    "interrupted": "yellow",
}  # fmt: skip


def paint(verdict: str, text: str | None = None) -> str:
    """A text in its verdict's colour, as markup; the word itself is always there."""
    colour = _COLOURS.get(verdict, "")
    shown = escape(text or verdict)
    return f"[{colour}]{shown}[/]" if colour else shown


def fail(error: ShakedownError) -> NoReturn:
    """Say what is wrong and end with the error's exit code."""
    err.print(f"[bold red]error:[/] {escape(str(error))}")
    sys.exit(int(error.exit_code))


def interrupted() -> NoReturn:
    """End as interrupted."""
    sys.exit(int(ExitCode.INTERRUPTED))
