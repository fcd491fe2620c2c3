"""postgres-read-only and postgres-slow-commits: the server's own settings, changed while it runs and put back."""

import re
from abc import abstractmethod
from typing import TypeVar

from shakedown.errors import FaultRefusedError
from shakedown.faults.base import FaultContext
from shakedown.faults.databases.postgres import PostgresFault
from shakedown.faults.databases.psql import literal
from shakedown.guard.undo import Undo
from shakedown.plan.faults.databases import PostgresReadOnly, PostgresSlowCommits
from shakedown.records.experiment import Proof
from shakedown.units import format_duration

__all__ = ["ReadOnlyFault", "SlowCommitsFault"]

P = TypeVar("P", bound=PostgresReadOnly | PostgresSlowCommits)

RELOAD = "SELECT pg_reload_conf()"
_USED = "SELECT name, setting, source FROM pg_settings"
_WRITTEN = "SELECT name, setting FROM pg_file_settings WHERE sourcefile LIKE '%/postgresql.auto.conf' ORDER BY seqno"
_TOOK = re.compile(r"took=([\d.]+)")


class _Settings(PostgresFault[P]):
    """Settings that ALTER SYSTEM writes down and a reload brings to every session, also to those that are open."""

    mechanism = "ALTER SYSTEM and a reload, which reach open sessions too"
    reversal = "ALTER SYSTEM to what it was, and a reload"

    def __init__(self, plan: P, context: FaultContext) -> None:
        super().__init__(plan, context)
        self._before: dict[str, str] = {}  # what the server used
        self._written: dict[str, str | None] = {}  # what ALTER SYSTEM had written down; None: nothing

    @abstractmethod
    def settings(self) -> dict[str, str]:
        """The settings while the fault lasts."""

    def _read(self) -> tuple[dict[str, str], dict[str, str | None]]:
        used = {name: value for name, value, _ in self.psql.rows(_USED, plain=True) if name in self.settings()}
        written = {row[0]: row[1] for row in self.psql.rows(_WRITTEN)}
        return used, {name: written.get(name) for name in self.settings()}

    def note(self) -> None:
        """What is used, and what is written down."""
        self._before, self._written = self._read()
        missing = [name for name in self.settings() if name not in self._before]
        if missing:
            raise FaultRefusedError(f"this PostgreSQL has no setting {missing[0]}")
        if all(self._before[name] == value for name, value in self.settings().items()):
            raise FaultRefusedError("the server is set so already: nothing would change")
        for name, _, source in self.psql.rows(_USED, plain=True):
            if name in self.settings() and source in ("command line", "environment variable"):
                raise FaultRefusedError(f"{name} comes from the server's {source}, which no reload changes")

    def undo(self) -> Undo:
        """As it was: what was written down before, or nothing."""
        statements = [
            f"ALTER SYSTEM RESET {name}" if value is None else f"ALTER SYSTEM SET {name} = {literal(value)}"
            for name, value in self._written.items()
        ]
        return self.psql.restore(*statements, RELOAD)

    def inject(self, deadline: float) -> None:  # noqa: ARG002 - the journal and the watchdog keep this deadline
        """Write the settings down, and reload."""
        statements = [f"ALTER SYSTEM SET {name} = {literal(value)}" for name, value in self.settings().items()]
        self.psql.rows(*statements, RELOAD)

    def gone(self) -> Proof:
        """What is used and what is written down are as before, and a probe goes through as before."""
        used, written = self._read()
        if (used, written) != (self._before, self._written):
            return Proof(held=False, evidence=f"{_shown(used)}; before: {_shown(self._before)}")
        probe = self.probe()
        return Proof(held=not probe.held, evidence=f"{_shown(used)} as before; {probe.evidence}")

    def effect(self) -> Proof:
        """A probe shows it."""
        return self.probe()

    def still(self) -> Proof | None:
        """The same proof again."""
        return self.effect()

    @abstractmethod
    def probe(self) -> Proof:
        """Whether a session that begins now feels it; leaves nothing behind."""


class ReadOnlyFault(_Settings[PostgresReadOnly]):
    """Every transaction is read-only."""

    proof = "a write, rolled back if it went through, is refused as in a read-only transaction"

    def settings(self) -> dict[str, str]:
        """One setting."""
        return {"default_transaction_read_only": "on"}

    def probe(self) -> Proof:
        """A table is made, and the transaction given up."""
        name = self.psql.mark.replace("-", "_")
        answer = self.psql.attempt("BEGIN", f"CREATE TABLE {name} ()", "ROLLBACK", plain=True)
        if answer.code == 0:
            return Proof(held=False, evidence="a write goes through")
        refused = "read-only transaction" in answer.errors
        return Proof(held=refused, evidence=f"a write is refused: {answer.said}")


class SlowCommitsFault(_Settings[PostgresSlowCommits]):
    """Every commit waits."""

    mechanism = "commit_delay by ALTER SYSTEM and a reload, which reach open sessions too"
    proof = "the time that commits of nothing but a message in the log take, less what they took before"

    def __init__(self, plan: PostgresSlowCommits, context: FaultContext) -> None:
        super().__init__(plan, context)
        self._quick = 0.0

    @property
    def parameters(self) -> str:
        """For the report."""
        return format_duration(self.plan.delay)

    def settings(self) -> dict[str, str]:
        """The delay in microseconds, however few transactions are under way."""
        return {"commit_delay": str(round(self.plan.delay * 1e6)), "commit_siblings": "0"}

    def note(self) -> None:
        """How long a commit takes."""
        super().note()
        if self.psql.value("SELECT current_setting('fsync') || current_setting('synchronous_commit')") in (
            "offon", "offoff", "onoff",
        ):  # fmt: skip
            raise FaultRefusedError(
                "the server does not wait for its disk (fsync or synchronous_commit is off): nothing to slow"
            )
        self._quick = self._commit()

    def _commit(self) -> float:
        """The median time of five commits (s): each writes one message into the log, and nothing else."""
        answer = self.psql.attempt(_COMMITS)
        found = _TOOK.search(answer.errors)
        if found is None:
            raise FaultRefusedError(f"a commit cannot be timed: {answer.said}")
        return float(found[1])

    def probe(self) -> Proof:
        """Commits take longer by at least 80% of the delay."""
        took = self._commit()
        added = took - self._quick
        return Proof(
            held=added >= 0.8 * self.plan.delay, evidence=f"a commit takes {took * 1000:.1f} ms, {self._quick * 1000:.1f} ms before",
            asked=self.plan.delay, measured=round(added, 4), unit="s",
        )  # fmt: skip


_COMMITS = """
DO $shakedown$
DECLARE begun timestamptz; took double precision[] := '{}'; middle double precision;
BEGIN
  FOR turn IN 1 .. 5 LOOP
    begun := clock_timestamp();
    PERFORM pg_logical_emit_message(true, 'shakedown', 'probe');
    COMMIT;
    took := took || extract(epoch FROM clock_timestamp() - begun)::double precision;
  END LOOP;
  SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY one) INTO middle FROM unnest(took) AS one;
  RAISE NOTICE 'took=%', middle;
END
$shakedown$
"""


def _shown(settings: dict[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in settings.items())
