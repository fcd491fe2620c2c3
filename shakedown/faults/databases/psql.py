"""psql inside a container: credentials are found there, so that none is in a plan, a journal or a log."""

import re

from shakedown.errors import FaultError, FaultRefusedError
from shakedown.faults.base import FaultContext
from shakedown.faults.databases.inside import RELEASE, Answer, Inside, Kept
from shakedown.guard.undo import ContainerExec
from shakedown.plan.faults.databases import OnPostgres

__all__ = ["Psql", "fill", "literal"]

_BETWEEN = "\x1f"  # columns
_MISSING = (126, 127)
_OLDEST = 110000  # transactions in DO blocks
_LIMIT = "20"  # seconds for one call

# $1 user, $2 database (empty: from the environment), $3 port, $4 application name, $5 options of the session. Debian's
# own `psql` is a wrapper in another language, several times slower than the program behind it.
_FIND = r"""
psql=
for one in /usr/lib/postgresql/*/bin/psql /usr/local/bin/psql; do [ -x "$one" ] && psql="$one"; done
[ -n "$psql" ] || psql=$(command -v psql) || { echo 'no psql' >&2; exit 127; }
user="${1:-${POSTGRES_USER:-${PGUSER:-${POSTGRESQL_USERNAME:-postgres}}}}"
database="${2:-${POSTGRES_DB:-${PGDATABASE:-${POSTGRESQL_DATABASE:-$user}}}}"
port="$3"; export PGAPPNAME="$4"; export PGOPTIONS="$5"; export PGCONNECT_TIMEOUT=5; shift 5
PGPASSWORD="${PGPASSWORD:-${POSTGRES_PASSWORD:-${POSTGRESQL_PASSWORD:-}}}"
[ -n "$PGPASSWORD" ] || [ ! -r "${POSTGRES_PASSWORD_FILE:-}" ] || PGPASSWORD=$(cat "$POSTGRES_PASSWORD_FILE")
[ -n "$PGPASSWORD" ] && export PGPASSWORD || unset PGPASSWORD
"""
_ONCE = (
    _FIND
    + rf"""
limit=; command -v timeout >/dev/null 2>&1 && limit="timeout {_LIMIT}"
exec $limit "$psql" -X -A -t -q -w -U "$user" -d "$database" -p "$port" -F "{_BETWEEN}" -v ON_ERROR_STOP=1 "$@"
"""
)
# $1 seconds, $2 how many sessions. All of them read from one pipe into which nothing is ever written: when the `sleep`
# at its other end ends, by itself or ended by an undo, every session reads the end of its input and closes in order. The
# subshells end with 0 whatever happened in them, also when they have become the server's orphans.
_HELD = (
    _FIND
    + r"""
seconds="$1"; many="$2"; shift 2
(env sleep "$seconds"; exit 0) | {
  exec 4<&0; count=0
  while [ "$count" -lt "$many" ]; do
    count=$((count + 1))
    ( "$psql" -X -A -t -q -w -U "$user" -d "$database" -p "$port" -v ON_ERROR_STOP=1 "$@" -c "SELECT 'held'" -f - <&4 2>&1
      echo ended; exit 0 ) &
  done
  exec 4<&-; wait
}
exit 0
"""
)
# $6 the statement that ends the sessions, then the arguments of RELEASE: sessions that do not read their input are ended by the server.
_RELEASE = (
    _FIND
    + r"""
ending="$1"; shift
urge() { "$psql" -X -A -t -q -w -U "$user" -d "$database" -p "$port" -c "$ending" >/dev/null 2>&1; }
"""
    + RELEASE
)
_ADMIN = "-c statement_timeout=15s -c lock_timeout=5s -c default_transaction_read_only=off"
_HOLDER = "-c statement_timeout=0 -c idle_in_transaction_session_timeout=0 -c default_transaction_read_only=off"


class Psql(Inside):
    """A PostgreSQL server, and how to speak to it."""

    def __init__(self, context: FaultContext, plan: OnPostgres) -> None:
        super().__init__(context, plan.target, plan.run_as)
        self.plan = plan

    def check(self) -> None:
        """The server answers a superuser.

        Raises:
            FaultRefusedError: it does not, with psql's own words.
        """
        super().check()
        answer = self.attempt(
            "SELECT usesuper, current_setting('server_version_num') FROM pg_user WHERE usename = current_user"
        )
        if answer.code in _MISSING:
            raise FaultRefusedError(f"the container of `{self.service}` has no psql (or no shell): {answer.said}")
        if answer.code:
            raise FaultRefusedError(f"psql cannot connect in the container of `{self.service}`: {answer.said}")
        superuser, _, version = answer.output.strip().partition(_BETWEEN)
        if superuser != "t":
            raise FaultRefusedError(f"psql is no superuser in `{self.service}`: `user` names one")
        if int(version) < _OLDEST:
            raise FaultRefusedError(
                f"the PostgreSQL of `{self.service}` is too old ({version}): 11 is the oldest that works"
            )

    def attempt(self, *statements: str, plain: bool = False, user: str | None = None) -> Answer:
        """Carry statements out, each by itself, and see how it went.

        Args:
            plain: as a session of the application would be: without settings of ours.
            user: instead of the superuser.
        """
        return self.run(self.command(*statements, plain=plain, user=user))

    def rows(self, *statements: str, plain: bool = False) -> list[list[str]]:
        """Carry statements out; the rows of all of them.

        Raises:
            FaultError: one failed.
        """
        answer = self.attempt(*statements, plain=plain)
        if answer.code:
            raise FaultError(f"psql in the container of `{self.service}`: {answer.said}")
        return [line.split(_BETWEEN) for line in answer.output.splitlines() if line]

    def value(self, statement: str) -> str:
        """The first column of the only row."""
        found = self.rows(statement)
        return found[0][0] if found else ""

    def command(self, *statements: str, plain: bool = False, user: str | None = None) -> list[str]:
        """The command that carries statements out."""
        options = [part for statement in statements for part in ("-c", statement)]
        return self._words(_ONCE, user, "shakedown", "" if plain else _ADMIN, *options)

    def hold(self, many: int, seconds: float, *statements: str) -> Kept:
        """Open sessions that first carry out `statements`, say `held`, and stay until let go, at most for `seconds`."""
        options = [part for statement in statements for part in ("-c", statement)]
        return self.keep(self._words(_HELD, None, self.mark, _HOLDER, str(max(int(seconds), 1)), str(many), *options))

    def let_go(self) -> ContainerExec:
        """What ends all sessions that `hold` opened."""
        ending = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = {name}"
        return self.undo(
            self._words(_RELEASE, None, "shakedown", _ADMIN, fill(ending, name=self.mark), *self.release_words("sleep"))
        )

    def restore(self, *statements: str) -> ContainerExec:
        """An undo of what lies on the server's disk."""
        return self.undo(self.command(*statements), lasting=True)

    def _words(self, script: str, user: str | None, name: str, options: str, *more: str) -> list[str]:
        plan = self.plan
        first = (user or plan.user or "", plan.database or "", str(plan.port), name, options)
        return ["sh", "-c", script, "psql", *first, *more]

    def sessions(self, mark: str) -> int:
        """How many sessions have this application name."""
        return int(self.value(fill("SELECT count(*) FROM pg_stat_activity WHERE application_name = {name}", name=mark)))


def literal(text: str) -> str:
    """A text as SQL writes it."""
    return "'" + text.replace("'", "''") + "'"


def fill(statement: str, **texts: str) -> str:
    """A statement with texts in the place of their `{names}`, as SQL writes them."""
    return re.sub(r"\{(\w+)\}", lambda match: literal(texts[match[1]]), statement)
