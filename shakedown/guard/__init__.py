"""What makes sure that nothing of ours stays behind.

::

    before it is done        intend ──fsync──▶ journal.jsonl ◀──reads── watchdog   (detached: pipe, heartbeat, deadline)
    when it is undone        strike ─────────▶      ▲        ◀──reads── cleanup    (the next start, or by hand)

=========  ================================================================================
journal    intents with their undo, on disk before the thing is done
undo       the operations that take something back; each may run twice, or too late
watchdog   a detached process that undoes when the run dies, hangs or is late
identity   which process a number stands for
process    programs that we start, guarded from before their first moment
cleanup    what dead runs left behind, found by journal and by label
engine     the Docker engine, found or explained
labels     what everything of ours carries
=========  ================================================================================
"""

from shakedown.guard.cleanup import CleanupReport, cleanup
from shakedown.guard.engine import find_engine
from shakedown.guard.journal import Intent, Journal, Owner
from shakedown.guard.undo import carry_out
from shakedown.guard.watchdog import Watchdog

__all__ = ["CleanupReport", "Intent", "Journal", "Owner", "Watchdog", "carry_out", "cleanup", "find_engine"]
