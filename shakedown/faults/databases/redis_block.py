"""redis-block: scripts keep the server busy."""

import math
import time

from shakedown.faults.base import FaultContext
from shakedown.faults.databases.inside import RELEASE, Kept
from shakedown.faults.databases.redis import RedisFault
from shakedown.guard.undo import Undo
from shakedown.plan.faults.databases import RedisBlock
from shakedown.records.experiment import Proof
from shakedown.units import format_duration

__all__ = ["BlockFault"]

SETTLE = 3.0
# The server does one thing at a time: a script that only looks at the clock is enough, and it ends by itself.
_SCRIPT = """
local function now() local t = redis.call('TIME') return t[1] * 1000 + t[2] / 1000 end
local till = now() + tonumber(ARGV[1])
while now() < till do end
return 'done'
"""
# $1 seconds, $2 milliseconds of one script, $3 the script. When the `sleep` has ended, no further script begins.
_BUSY = r"""
(exec sleep "$1") & guard=$!
while kill -0 "$guard" 2>/dev/null; do
  cli EVAL "$3" 0 "$2" || sleep 0.1
done
wait
exit 0
"""
# A script that is at it for longer than this may be ended from outside.
KILLABLE = 5.0
_URGE = "urge() { cli SCRIPT KILL >/dev/null 2>&1; }\n"


class BlockFault(RedisFault[RedisBlock]):
    """The fault."""

    mechanism = "EVAL of scripts that look at the clock until their time is over, one after another"
    proof = "how long a command waits for its answer"
    reversal = "no further script is started; the one at work ends within its own time"
    layers = ("journal", "watchdog", "scripts' own deadline")

    def __init__(self, plan: RedisBlock, context: FaultContext) -> None:
        super().__init__(plan, context)
        self._kept: Kept | None = None
        self._quick = 0.0

    @property
    def parameters(self) -> str:
        """For the report."""
        return f"scripts of {format_duration(self.plan.block)}"

    def undo(self) -> Undo:
        """Start no more."""
        urge = _URGE if self.plan.block > KILLABLE else ""
        words = self.redis.release_words("sleep", within=self.plan.block + SETTLE)
        return self.redis.undo(self.redis.script(urge + RELEASE, *words))

    def inject(self, deadline: float) -> None:
        """Start them; none begins when the hold time is over, and none lasts beyond it by more than its own time."""
        hold = self.hold_of(deadline)
        block = min(self.plan.block, hold)
        self._kept = self.redis.keep(self.redis.script(_BUSY, str(math.ceil(hold)), str(round(block * 1000)), _SCRIPT))

    def note(self) -> None:
        """How long an answer takes."""
        self._quick = min(self._ping()[0] for _ in range(2))

    def _ping(self) -> tuple[float, str]:
        """How long an answer takes (s), and what it is."""
        begun = time.monotonic()
        said = self.redis.attempt("PING", limit=self.plan.block + SETTLE).said
        return time.monotonic() - begun, said

    def effect(self) -> Proof:
        """Of three commands, one waits for at least half of a script's time, or is told that the server is busy."""
        found = [self._ping() for _ in range(3)]
        waited = max(took for took, _ in found) - self._quick
        busy = next((said for _, said in found if said.startswith("BUSY")), "")
        words = f"of three commands, one waited {waited:.2f} s longer than before"
        return Proof(
            held=bool(busy) or waited >= self.plan.block / 2, evidence=f"{words}; {busy}" if busy else words,
            asked=self.plan.block, measured=round(max(waited, 0.0), 3), unit="s",
        )  # fmt: skip

    def gone(self) -> Proof:
        """Nothing of ours is left, and an answer takes no longer than half of a script's time."""
        if left := self.redis.kept():
            return Proof(held=False, evidence=f"{left} processes of the fault are left")
        took, said = self._ping()
        late = took - self._quick
        held = said == "PONG" and late < max(self.plan.block / 2, 0.25)
        return Proof(
            held=held, evidence=f"no script of the fault is left; PING is answered with {said} in {took:.2f} s"
        )
