"""Files of notes, as workers write them."""

from shakedown.ledgers.writer import LedgerWriter
from shakedown.records.ledger import Acknowledgement, LedgerNote

OK, NO, UNKNOWN = Acknowledgement.ACKNOWLEDGED, Acknowledgement.REFUSED, Acknowledgement.UNKNOWN


def written(folder, *writes, name="a"):
    """A file of (key, sent, ended, outcome[, note's other fields]); an outcome of None never came."""
    writer = LedgerWriter(folder / f"{name}.ledger")
    for key, sent, ended, outcome, *rest in writes:
        number = writer.sent(LedgerNote(key, **(rest[0] if rest else {})), sent)
        if outcome is not None:
            writer.ended(number, ended, outcome)
    writer.close()
    return folder
