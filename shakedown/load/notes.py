"""What a ledger is told of an operation before it is sent."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from shakedown.ledgers.digest import digest_of
from shakedown.load import values
from shakedown.records.ledger import LedgerNote

__all__ = ["Note", "Noted", "note_of"]

# Of the names, what is sent as templates know it, and what is sent.
Note = Callable[[Mapping[str, object], Any, object], LedgerNote]


class Noted(Protocol):
    """An operation of a plan that a ledger may note."""

    @property
    def ledger(self) -> str | None:
        """Which one."""

    @property
    def key(self) -> str | None:
        """A template."""

    @property
    def value(self) -> str | None:
        """A template, or `body`."""

    @property
    def ordered_by(self) -> str | None:
        """A template."""


def note_of(plan: Noted, name: str, default: Callable[[Any], object] | None, *, removes: bool) -> Note | None:
    """What makes the note; None without a ledger.

    Args:
        name: by which its templates know what is sent.
        default: the key of what is sent, where the plan gives none.
    """
    if plan.ledger is None:
        return None
    key, value, group = (
        values.text(text) if text not in (None, "body") else None for text in (plan.key, plan.value, plan.ordered_by)
    )
    whole = plan.value == "body"

    def make(names: Mapping[str, object], made: Any, sent: object) -> LedgerNote:
        known = {**names, name: made}
        digest = digest_of(sent) if whole else digest_of(value(known)) if value is not None else ""
        found = key(known) if key is not None else default(made) if default is not None else ""
        return LedgerNote(str(found), digest, group(known) if group is not None else "", removes)

    return make
