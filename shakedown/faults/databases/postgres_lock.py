"""postgres-lock: a table is locked by a transaction that stays open."""

import re
import time

from shakedown.errors import FaultError, FaultRefusedError
from shakedown.faults.base import FaultContext
from shakedown.faults.databases.inside import Kept, shown
from shakedown.faults.databases.postgres import PostgresFault
from shakedown.faults.databases.psql import fill, literal
from shakedown.guard.undo import Undo
from shakedown.plan.faults.databases import PostgresLock
from shakedown.records.experiment import Proof

__all__ = ["LockFault"]

PROBE = 0.3  # seconds that the probe is ready to wait
LOCKED_WITHIN = 20.0
_PROBE = """
DO $shakedown$
DECLARE begun timestamptz := clock_timestamp();
BEGIN
  LOCK TABLE {table} IN {mode} MODE;
EXCEPTION WHEN lock_not_available THEN
  RAISE NOTICE 'waited=%', extract(epoch FROM clock_timestamp() - begun);
END
$shakedown$
"""
_GRANTED = """
SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE granted AND relation = {table}::regclass AND application_name = {name}
"""
_WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = {table}::regclass"
_WAITED = re.compile(r"waited=([\d.]+)")


class LockFault(PostgresFault[PostgresLock]):
    """The fault."""

    mechanism = "LOCK TABLE in an open transaction of psql in the container, which one `sleep` keeps open"
    proof = "a statement that needs the table waits; the sessions that wait are counted"
    reversal = "the `sleep` is ended, and with it the transaction; else the server terminates its session"
    layers = ("journal", "watchdog", "transaction's own deadline")

    def __init__(self, plan: PostgresLock, context: FaultContext) -> None:
        super().__init__(plan, context)
        self._table = ""
        self._kept: Kept | None = None

    @property
    def parameters(self) -> str:
        """For the report."""
        return f"{self.plan.table}, {self._mode.lower()}"

    @property
    def _mode(self) -> str:
        return self.plan.mode.replace("-", " ").upper()

    def note(self) -> None:
        """The table is there; its name is noted as the server writes it."""
        self._table = self.psql.value(f"SELECT to_regclass({literal(self.plan.table)})")
        if not self._table:
            known = self.psql.rows(
                "SELECT schemaname || '.' || relname FROM pg_stat_user_tables ORDER BY n_live_tup DESC LIMIT 12"
            )
            tables = ", ".join(row[0] for row in known) or "none"
            raise FaultRefusedError(f"there is no table `{self.plan.table}` in the database; it has {tables}")

    def undo(self) -> Undo:
        """End the transaction's session."""
        return self.psql.let_go()

    def inject(self, deadline: float) -> None:
        """Lock it; waits for transactions that hold it now, as everybody that comes later waits for us."""
        left = self.left(deadline)
        self._kept = self.psql.hold(
            1, left, f"SET lock_timeout = {int(left * 1000)}", "BEGIN", f"LOCK TABLE {self._table} IN {self._mode} MODE"
        )
        until = min(time.time() + LOCKED_WITHIN, deadline)
        while time.time() < until and not self._kept.over.is_set() and not {"held", "ended"} & set(self._kept.lines):
            time.sleep(0.02)

    def _probe(self) -> float | None:
        """How long a statement of somebody's waited for the table until it gave up (s); None when it had not to."""
        needs = "ACCESS SHARE" if self.plan.mode == "access-exclusive" else "ROW EXCLUSIVE"
        statement = _PROBE.replace("{table}", self._table).replace("{mode}", needs)
        answer = self.psql.attempt(f"SET lock_timeout = {int(PROBE * 1000)}", statement)
        if answer.code:
            raise FaultError(f"a statement that needs {self._table} failed: {answer.said}")
        found = _WAITED.search(answer.errors)
        return float(found[1]) if found else None

    def still(self) -> Proof | None:
        """The lock is granted to us."""
        granted = self.psql.value(fill(_GRANTED, table=self._table, name=self.psql.mark))
        if granted not in ("", "0"):
            return None
        said = shown(" ".join(line for line in self._kept.lines if "psql" in line)) if self._kept else ""
        return Proof(held=False, evidence=f"the lock is not granted: other transactions hold the table {said}".strip())

    def effect(self) -> Proof:
        """The lock is granted to us, and a statement of somebody else's waits for it."""
        if (missing := self.still()) is not None:
            return missing
        waited = self._probe()
        if waited is None:
            return Proof(held=False, evidence="the lock is granted, yet a statement did not wait for it")
        waiting = self.psql.value(fill(_WAITING, table=self._table))
        return Proof(
            held=True, evidence=f"a statement waited for {self._table} until it gave up; {waiting} sessions wait for it",
            asked=PROBE, measured=waited, unit="s",
        )  # fmt: skip

    def gone(self) -> Proof:
        """The transaction's session is gone, and its lock with it."""
        sessions, processes = self.psql.sessions(self.psql.mark), self.psql.kept()
        if sessions or processes:
            return Proof(held=False, evidence=f"{sessions} sessions and {processes} processes of the fault are left")
        others = ", a statement need not wait for it" if self._probe() is None else "; others hold the table"
        return Proof(held=True, evidence=f"the fault's lock on {self._table} is gone{others}")
