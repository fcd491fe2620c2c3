"""postgres-terminate: sessions of clients are ended by the server."""

from shakedown.faults.base import FaultContext
from shakedown.faults.databases.again import Again
from shakedown.faults.databases.postgres import PostgresFault
from shakedown.faults.databases.psql import literal
from shakedown.guard.undo import Undo
from shakedown.plan.faults.databases import PostgresTerminate
from shakedown.records.experiment import Proof
from shakedown.units import format_duration

__all__ = ["TerminateFault"]

# Short transactions are met by looking a hundred times a second, on the server itself, for two seconds at a time.
_BLOCK = """
DO $shakedown$
DECLARE ended integer := 0;
BEGIN
  FOR look IN 1 .. 200 LOOP
    SELECT count(*) INTO ended FROM (
      SELECT pg_terminate_backend(pid) AS done FROM (
        SELECT pid FROM pg_stat_activity
        WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND application_name NOT LIKE 'shakedown%'
          AND ({condition})
        ORDER BY xact_start LIMIT {most}
      ) AS chosen
    ) AS ending WHERE done;
    EXIT WHEN ended > 0;
    PERFORM pg_sleep(0.01);
    PERFORM pg_stat_clear_snapshot();
  END LOOP;
  RAISE NOTICE 'terminated=%', ended;
END
$shakedown$
"""
ONCE_EVERY = 0.1  # seconds between two tries of a fault that is to happen once


class TerminateFault(PostgresFault[PostgresTerminate]):
    """The fault."""

    mechanism = "pg_terminate_backend, for what pg_stat_activity shows"
    proof = "sessions that the server says it ended, counted"
    reversal = "none is needed: clients connect anew; it is not repeated any more"
    layers = ("ends with the run",)

    def __init__(self, plan: PostgresTerminate, context: FaultContext) -> None:
        super().__init__(plan, context)
        self._ended = 0
        self._times = 0
        self._again: Again | None = None

    @property
    def parameters(self) -> str:
        """For the report."""
        which = [
            f"application {self.plan.application}" if self.plan.application else "",
            f"role {self.plan.role}" if self.plan.role else "",
            "in a transaction" if self.plan.in_transaction else "",
            f"every {format_duration(self.plan.every)}" if self.plan.every else "once",
        ]
        return ", ".join(filter(None, which))

    def undo(self) -> Undo:
        """Nothing: what was ended stays ended."""
        return self.psql.undo(["true"])

    def inject(self, deadline: float) -> None:
        """End them: once, as soon as there is one, or again and again."""
        self._again = Again(self._terminate, self.plan.every or ONCE_EVERY, deadline)

    def _terminate(self) -> None:
        if self.plan.every is None and self._ended:
            return
        answer = self.psql.attempt(self._statement())
        if answer.code and not self.is_full(answer.errors):
            return  # a server that restarts, say, is not to end the fault; without a session ended there is no proof
        for line in answer.errors.splitlines():
            _, found, count = line.partition("terminated=")
            if found and int(count):
                self._ended += int(count)
                self._times += 1

    def _statement(self) -> str:
        conditions = ["xact_start IS NOT NULL AND state <> 'idle'" if self.plan.in_transaction else "true"]
        if self.plan.application is not None:
            conditions.append(f"application_name = {literal(self.plan.application)}")
        if self.plan.role is not None:
            conditions.append(f"usename = {literal(self.plan.role)}")
        if self.plan.database is not None:
            conditions.append(f"datname = {literal(self.plan.database)}")
        return _BLOCK.replace("{most}", str(self.plan.most or "NULL")).replace("{condition}", " AND ".join(conditions))

    def effect(self) -> Proof:
        """At least one was ended."""
        if self._again is not None:
            self._again.look()
        kind = f"session{'' if self._ended == 1 else 's'}" + (" in a transaction" if self.plan.in_transaction else "")
        if not self._ended:
            return Proof(held=False, evidence=f"no {kind} to end were met", asked=1, measured=0, unit="sessions")
        return Proof(
            held=True, evidence=f"the server ended {self._ended} {kind}", asked=1, measured=self._ended, unit="sessions"
        )

    def revert(self) -> None:
        """End no more."""
        if self._again is not None:
            self._again.end()
        super().revert()

    def gone(self) -> Proof:
        """None is ended any more, and a new connection is let in."""
        if self._again is not None and not self._again.ended:
            return Proof(held=False, evidence="sessions are still being ended")
        look = self.lets_in()
        times = f"{self._ended} sessions ended in {self._times} goes, none any more"
        return Proof(held=look.held, evidence=f"{times}; {look.evidence}")
