"""What a database said, as a kind of failure.

============  ================================================================================
constraint    a constraint was violated; nothing was kept
conflict      a deadlock, or a transaction that could not be put in order; nothing was kept
locked        the database was locked (SQLite)
connections   the server takes no more connections
auth          the server does not know us
data          a value does not fit
statement     the statement is wrong, or something it names is not there
cancelled     the server gave the statement up (its own time-out, or an administrator)
closed        the connection was lost; what became of the statement is not known
refused, …    no connection could be had; see `users.transport_failure`
sql           anything else
============  ================================================================================

The classes of SQLSTATE are the standard's and PostgreSQL's ("PostgreSQL Error Codes").
"""

from sqlalchemy import exc

from shakedown.load.drivers.users import Failure, transport_failure

__all__ = ["sql_failure"]

_STATES = {
    "57014": "cancelled", "53300": "connections", "40001": "conflict", "40P01": "conflict", "55P03": "locked",
    "57P01": "closed", "57P02": "closed", "57P03": "refused", "25P02": "statement",
}  # fmt: skip
_CLASSES = {
    "23": "constraint",
    "28": "auth",
    "22": "data",
    "42": "statement",
    "08": "closed",
    "53": "resources",
    "3D": "statement",
}
_UNDONE = frozenset(
    {"constraint", "conflict", "locked", "connections", "auth", "data", "statement", "cancelled", "resources"}
)


def sql_failure(error: BaseException) -> Failure:
    """The failure that an error of SQLAlchemy's, or of the network below it, stands for."""
    if isinstance(error, TimeoutError) and not isinstance(error, exc.SQLAlchemyError):
        return Failure("connect", str(error) or "the connection was not made in time")
    if isinstance(error, OSError):
        return transport_failure(error)
    cause = getattr(error, "orig", None)
    text = _words(cause if cause is not None else error)
    kind = _kind(error, cause, text)
    known = kind in _UNDONE
    return Failure(kind, text, answered=known or kind == "sql", undone=known or None)


def _kind(error: BaseException, cause: BaseException | None, text: str) -> str:
    state = _state(cause)
    if state in _STATES:
        return _STATES[state]
    if state is not None and state[:2] in _CLASSES:
        return _CLASSES[state[:2]]
    if isinstance(error, exc.DBAPIError) and error.connection_invalidated:
        return "closed"
    lower = text.lower()
    if "database is locked" in lower or "table is locked" in lower:
        return "locked"
    match error:
        case exc.IntegrityError():
            return "constraint"
        case exc.DataError():
            return "data"
        case exc.ProgrammingError() | exc.CompileError() | exc.InvalidRequestError():
            return "statement"
        case exc.StatementError() if not isinstance(error, exc.DBAPIError):  # it never came to the driver
            return "statement"
        case exc.OperationalError() if "no such" in lower or "syntax error" in lower:  # SQLite's own words
            return "statement"
        case exc.InterfaceError():
            return "closed" if "connection" in lower else "statement"
    if "connection" in lower and ("closed" in lower or "lost" in lower or "terminat" in lower):
        return "closed"
    return "sql"


def _state(cause: BaseException | None) -> str | None:
    """The SQLSTATE, wherever the driver keeps it."""
    seen: set[int] = set()
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        for name in ("sqlstate", "pgcode"):
            state = getattr(cause, name, None)
            if isinstance(state, str) and len(state) == 5:
                return state
        cause = cause.__cause__
    return None


def _words(error: BaseException) -> str:
    """The server's words on one line, without the class names that drivers put in front."""
    text = str(error) or type(error).__name__
    return " ".join(text.partition(">: ")[2].split() if text.startswith("<class") else text.split())
