"""postgres-max-connections: a database lets in fewer sessions."""

from shakedown.errors import FaultRefusedError
from shakedown.faults.base import FaultContext
from shakedown.faults.databases.postgres import PostgresFault
from shakedown.faults.databases.psql import fill
from shakedown.guard.undo import Undo
from shakedown.plan.faults.databases import PostgresMaxConnections
from shakedown.records.experiment import Proof

__all__ = ["MaxConnectionsFault"]

# Sessions that the limit counts and binds: those of ordinary users.
_BOUND = """
FROM pg_stat_activity JOIN pg_roles ON rolname = usename
WHERE backend_type = 'client backend' AND NOT rolsuper AND datname = {database}
"""
_EVERYONE = """
SELECT count(*) FROM pg_stat_activity
WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND datname = {database}
"""


class MaxConnectionsFault(PostgresFault[PostgresMaxConnections]):
    """The fault."""

    mechanism = "ALTER DATABASE … CONNECTION LIMIT; sessions above it are terminated"
    proof = "the limit in the catalogue, and sessions at it: ended by it, or a new one refused"
    reversal = "the limit that was there before"

    def __init__(self, plan: PostgresMaxConnections, context: FaultContext) -> None:
        super().__init__(plan, context)
        self._database = ""
        self._limit = -1
        self._sessions = 0

    @property
    def parameters(self) -> str:
        """For the report."""
        return f"{self.plan.connections} connections"

    def note(self) -> None:
        """The database's limit, and whom it would bind."""
        self._database = self.psql.value("SELECT current_database()")
        self._limit = self._now()
        if 0 <= self._limit <= self.plan.connections:
            raise FaultRefusedError(f"the database's limit is {self._limit} already, not above {self.plan.connections}")
        everyone = int(self.psql.value(fill(_EVERYONE, database=self._database)))
        self._sessions = self._bound()
        if everyone and not self._sessions:
            raise FaultRefusedError(
                f"all {everyone} sessions on {self._database} are superusers', whom no limit binds",
                hint="postgres-hold-connections takes the connections away from them too",
            )

    def _now(self) -> int:
        limit = "SELECT datconnlimit FROM pg_database WHERE datname = {database}"
        return int(self.psql.value(fill(limit, database=self._database)))

    def _bound(self) -> int:
        return int(self.psql.value(fill(f"SELECT count(*) {_BOUND}", database=self._database)))

    def _alter(self, limit: int) -> str:
        name = self._database.replace('"', '""')
        return f'ALTER DATABASE "{name}" CONNECTION LIMIT {limit}'

    def undo(self) -> Undo:
        """The limit that was there."""
        return self.psql.restore(self._alter(self._limit))

    def inject(self, deadline: float) -> None:  # noqa: ARG002 - the journal and the watchdog keep this deadline
        """Lower the limit, and end the youngest sessions above it."""
        self.psql.rows(self._alter(self.plan.connections))
        if self.plan.end_excess:
            excess = f"SELECT pid {_BOUND} ORDER BY backend_start OFFSET {self.plan.connections}"
            ending = f"SELECT pg_terminate_backend(pid) FROM ({excess}) AS excess"  # noqa: S608 - no text of anybody's
            self.psql.rows(fill(ending, database=self._database))

    def still(self) -> Proof | None:
        """The limit is there."""
        limit = self._now()
        return (
            None if limit == self.plan.connections else Proof(held=False, evidence=f"the database's limit is {limit}")
        )

    def effect(self) -> Proof:
        """The limit is there and binds somebody."""
        limit, sessions = self._now(), self._bound()
        if limit != self.plan.connections:
            return Proof(held=False, evidence=f"the database's limit is {limit}")
        words = f"limit {limit}; {sessions} sessions of ordinary users, {self._sessions} before"
        refused = self._refusal()
        if refused:
            words += f"; a new one is refused: {refused}"
        cut = sessions <= limit < self._sessions and sessions < self._sessions
        binding = bool(refused) or cut
        if not binding:
            words += ": it was not reached"
        return Proof(held=binding, evidence=words, asked=limit, measured=sessions, unit="connections")

    def _refusal(self) -> str:
        """How the server refuses an ordinary user who may log in without a password; empty when none is refused."""
        who = self.psql.rows(
            "SELECT rolname FROM pg_roles WHERE rolcanlogin AND NOT rolsuper"
            " ORDER BY rolname IN (SELECT usename FROM pg_stat_activity) DESC LIMIT 1"
        )
        if not who:
            return ""
        answer = self.psql.attempt("SELECT 1", plain=True, user=who[0][0])
        return answer.said if answer.code and self.is_full(answer.errors) else ""

    def gone(self) -> Proof:
        """The limit is what it was."""
        limit = self._now()
        refused = self._refusal() if limit == self._limit else ""
        held = limit == self._limit and not (refused and self._limit < 0)
        return Proof(
            held=held, evidence=f"limit {limit}, {self._limit} before (-1 is none){': ' + refused if refused else ''}"
        )
