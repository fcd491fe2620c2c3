"""Mistakes that real services make, each to be switched on by `VIGIA_DEFECTS=name,…`.

==============  ========  ===========================================================================
name            where     the mistake
==============  ========  ===========================================================================
any-signature   webhook   believes whoever knocks
lost-webhook    webhook   answers before anything is stored, and stores what it finds time for
race            store     looks whether a camera is there, and makes it a moment later
tiny-pool       store     has two connections, and time for nobody who would have to wait for one
short-codes     store     draws codes for shared pictures of one letter: some are drawn twice
n-plus-one      store     asks for the camera of each event by itself
keeps-pictures  pictures  keeps each picture that it has decoded
temp-files      pictures  leaves its temporary files where they are
silent-skip     tests     counts a test as passed whose server is not there (`tests/conftest.py`)
==============  ========  ===========================================================================
"""

import os
import sys

KNOWN = (
    "any-signature", "keeps-pictures", "lost-webhook", "n-plus-one", "race", "short-codes", "silent-skip", "temp-files",
    "tiny-pool",
)  # fmt: skip
_ON = frozenset(name for name in os.environ.get("VIGIA_DEFECTS", "").split(",") if name)


def on(name: str) -> bool:
    """Whether a defect is switched on."""
    if name not in KNOWN:
        raise KeyError(name)
    return name in _ON


def check() -> None:
    """End the program if an unknown defect is asked for."""
    if _ON - set(KNOWN):
        sys.exit(f"unknown defect {min(_ON - set(KNOWN))!r} in VIGIA_DEFECTS; known are {', '.join(KNOWN)}")
