"""redis-cli inside a container: the password is read from the container's environment, and never leaves it."""

import re

from shakedown.errors import FaultError, FaultRefusedError
from shakedown.faults.base import FaultContext
from shakedown.faults.databases.inside import Answer, Inside
from shakedown.guard.undo import ContainerExec
from shakedown.plan.faults.databases import OnRedis

__all__ = ["RedisCli", "RedisError"]

_MISSING = (126, 127)
_TIMED_OUT = (124, 137, 143)
_LIMIT = 8.0  # seconds for one call
_NUMBER, _VERSION = re.compile(r"\d+"), re.compile(r"(\d+)\.(\d+)\S*")
_TRIES = 3  # a busy engine may hand on nothing of what was said
# An error reply, as redis-cli prints it raw: it ends with 0 all the same.
_ERROR = re.compile(
    r"^(ERR|OOM|READONLY|NOAUTH|WRONGPASS|BUSY|NOPERM|LOADING|MISCONF|MASTERDOWN|NOTBUSY|UNKILLABLE|WRONGTYPE|EXECABORT)\b"
)

# $1 variable that holds the password, $2 user name, $3 port. Then a command and its arguments; `cli` runs it.
_FIND = r"""
program=$(command -v redis-cli || command -v valkey-cli || command -v keydb-cli) || { echo 'no redis-cli' >&2; exit 127; }
eval "password=\${$1:-}"
[ -z "$password" ] || export REDISCLI_AUTH="$password"
user="$2"; port="$3"; shift 3
cli() { "$program" -p "$port" ${user:+--user "$user"} "$@"; }
"""
_ONCE = (
    _FIND
    + r"""
seconds="$1"; shift
limit=; command -v timeout >/dev/null 2>&1 && limit="timeout $seconds"
exec $limit "$program" -p "$port" ${user:+--user "$user"} "$@"
"""
)
# Settings are put back one by one; what the server says then must be what was asked for.
_RESTORE = (
    _FIND
    + r"""
while [ $# -gt 0 ]; do
  cli CONFIG SET "$1" "$2"
  now=$(cli CONFIG GET "$1" | sed -n 2p)
  [ "$now" = "$2" ] || { echo "$1 is $now, not $2"; exit 1; }
  shift 2
done
exit 0
"""
)


class RedisError(FaultError):
    """The server's reply is an error."""


class RedisCli(Inside):
    """A Redis server, and how to speak to it."""

    def __init__(self, context: FaultContext, plan: OnRedis, service: str | None = None) -> None:
        super().__init__(context, service or plan.target)
        self.plan = plan

    def check(self) -> None:
        """The server answers.

        Raises:
            FaultRefusedError: it does not, with its own words.
        """
        super().check()
        answer = self.attempt("PING")
        if answer.code in _MISSING:
            raise FaultRefusedError(f"the container of `{self.service}` has no redis-cli (or no shell): {answer.said}")
        if answer.output.strip() != "PONG":
            variable = self.plan.password_variable
            hint = f"the password is read from the container's {variable}" if "AUTH" in answer.output else None
            raise FaultRefusedError(
                f"redis-cli gets no answer in the container of `{self.service}`: {answer.said}", hint=hint
            )

    def attempt(self, *words: str, limit: float = _LIMIT) -> Answer:
        """Send one command and see what comes back.

        Args:
            limit: seconds; later than this there is no answer (`silent`).
        """
        return self.run(["sh", "-c", _ONCE, "redis", *self._first(), f"{limit:g}", *words])

    @staticmethod
    def silent(answer: Answer) -> bool:
        """Whether no answer came in time."""
        return answer.code in _TIMED_OUT

    def ask(self, *words: str) -> list[str]:
        """Send one command; the lines of its reply.

        Raises:
            RedisError: the reply is an error.
            FaultError: there is none.
        """
        answer = self.attempt(*words)
        if answer.code:
            raise FaultError(f"redis-cli in the container of `{self.service}`: {answer.said}")
        if _ERROR.match(answer.output):
            raise RedisError(f"{words[0]} in `{self.service}`: {answer.said}")
        return answer.output.splitlines()

    def setting(self, name: str) -> str:
        """A setting's value.

        Raises:
            FaultRefusedError: the server does not tell.
        """
        try:
            lines = self.ask("CONFIG", "GET", name)
        except RedisError as error:
            raise FaultRefusedError(f"the server's settings cannot be read: {error}") from error
        if len(lines) < 2:
            raise FaultRefusedError(f"this server has no setting {name}")
        return lines[1]

    def put(self, **settings: str) -> None:
        """Change settings while the server runs; names with `_` for `-`.

        Raises:
            FaultError: it refuses.
        """
        for name, value in settings.items():
            self.ask("CONFIG", "SET", name.replace("_", "-"), value)

    def info(self, section: str) -> dict[str, str]:
        """A section of INFO."""
        pairs = (line.strip().partition(":") for line in self.ask("INFO", section))
        return {name: value for name, colon, value in pairs if colon}

    def figure(self, section: str, name: str) -> int:
        """A number of a section of INFO.

        Raises:
            FaultError: the server does not tell it, however often it is asked.
        """
        return int(self._matching(section, name, _NUMBER)[0])

    def version(self) -> tuple[int, int]:
        """The server's version: major, minor.

        Raises:
            FaultError: the server does not tell it, however often it is asked.
        """
        found = self._matching("server", "redis_version", _VERSION)
        return int(found[1]), int(found[2])

    def _matching(self, section: str, name: str, form: re.Pattern[str]) -> re.Match[str]:
        for _ in range(_TRIES):
            found = self.info(section).get(name, "")
            if match := form.fullmatch(found):
                return match
        raise FaultError(f"INFO {section} in `{self.service}` does not tell {name}: {found or 'nothing'}")

    def restore(self, settings: dict[str, str]) -> ContainerExec:
        """An undo of settings; they end with the server's process."""
        pairs = [word for pair in settings.items() for word in pair]
        return self.undo(["sh", "-c", _RESTORE, "redis", *self._first(), *pairs])

    def script(self, body: str, *words: str) -> list[str]:
        """A command for a script that has `cli`; its arguments are `$1` and on."""
        return ["sh", "-c", _FIND + body, "redis", *self._first(), *words]

    def _first(self) -> tuple[str, str, str]:
        return self.plan.password_variable, self.plan.username or "", str(self.plan.port)
