"""The database engine, its settings, and its migrations."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

from shakedown.errors import StoreError

if TYPE_CHECKING:
    from sqlalchemy.engine.interfaces import DBAPIConnection

__all__ = ["hint_for", "open_database", "schema_version", "worth_retrying"]

VARIABLE = "SHAKEDOWN_DATABASE_URL"
_MIGRATING = 0x5ADE  # the number of the advisory lock that whoever migrates holds
MIGRATIONS = Path(__file__).parent / "migrations"
_RETRIED_STATES = ("40001", "40P01")  # PostgreSQL: serialization failure, deadlock
# What SQLite and PostgreSQL say, and what to do about it.
_HINTS = (
    ("disk is full", "free some space, or keep results elsewhere"),
    ("disk I/O error", "free some space, or keep results elsewhere"),
    ("No space left", "free some space, or keep results elsewhere"),
    ("locked", "another program holds the database; end it, or keep results elsewhere"),
    ("readonly", "make the file and its folder writable, or keep results elsewhere"),
    ("unable to open", "make the folder and see that it is writable, or keep results elsewhere"),
    ("malformed", "move the file away; a new one is made"),
    ("not a database", "move the file away; a new one is made"),
)


def hint_for(error: BaseException) -> str | None:
    """What to do about a database's error; None when nothing is known."""
    text = str(error)
    return next((hint for words, hint in _HINTS if words in text), None)


def worth_retrying(error: DBAPIError) -> bool:
    """Whether a transaction was surely taken back and may succeed when it is done again.

    Never after a lost connection: what was committed, and not acknowledged, would be stored twice.
    """
    if error.connection_invalidated:
        return False
    state = getattr(error.orig, "sqlstate", None)
    return state in _RETRIED_STATES or (state is None and "database is locked" in str(error.orig))


def schema_version() -> str:
    """The schema of this program, such as `0003`."""
    return str(_script().get_current_head())


def open_database(root: Path, url: str | None = None) -> Engine:
    """The database of `url`, of SHAKEDOWN_DATABASE_URL, or SQLite in `root`; brought up to this program's schema.

    Raises:
        StoreError: it cannot be opened, or was made by a newer program.
    """
    url = url or os.environ.get(VARIABLE)
    if not url:
        try:
            root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"the folder {root} cannot be made: {error.strerror}") from error
    try:
        # Built from its parts: a `?` in a folder's name would begin the options of a URL given as text.
        place = make_url(url) if url else URL.create("sqlite", database=str(root / "shakedown.db"))
        if place.drivername in ("postgres", "postgresql"):
            place = place.set(drivername="postgresql+psycopg")
        # A server may have ended a connection that lay idle in a stage without results.
        engine = create_engine(place, pool_pre_ping=place.get_backend_name() != "sqlite")
        event.listen(engine, "before_cursor_execute", _storable, retval=True)
        if engine.dialect.name == "sqlite":
            event.listen(engine, "connect", _prepare_sqlite)
        _migrate(engine)
    except (ArgumentError, NoSuchModuleError, ImportError) as error:
        raise StoreError(f"{VARIABLE} is no database URL that can be used: {error}") from error
    except SQLAlchemyError as error:
        shown = place.render_as_string(hide_password=True)
        raise StoreError(
            f"the database {shown} cannot be opened: {getattr(error, 'orig', error)}", hint=hint_for(error)
        ) from error
    return engine


def _prepare_sqlite(connection: "DBAPIConnection", _: object) -> None:
    """Readers do not block the writer (WAL); several processes wait for each other; references are kept."""
    cursor = connection.cursor()
    # The time-out first: changing the journal's mode waits for others as well.
    for setting in ("busy_timeout=15000", "journal_mode=WAL", "foreign_keys=ON", "synchronous=NORMAL"):
        cursor.execute(f"PRAGMA {setting}")
    cursor.close()


def _storable(
    _connection: Connection,
    _cursor: object,
    statement: str,
    parameters: Any,
    _context: object,
    _many: bool,  # noqa: FBT001
) -> tuple[str, Any]:
    """Text that a database can hold: what a system answers, or a test prints, may be no text at all."""
    return statement, _clean(parameters)


def _clean(value: Any) -> Any:
    """Half characters (surrogates, which are not UTF-8) as their escapes, and NUL as its picture."""
    match value:
        case str() if "\x00" in value or not value.isascii():
            return value.replace("\x00", "\u2400").encode("utf-8", "backslashreplace").decode("utf-8")
        case list() | tuple():
            return type(value)(_clean(item) for item in value)
        case dict():
            return {key: _clean(item) for key, item in value.items()}
        case _:
            return value


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))  # the option's own escape
    return config


def _script() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def _migrate(engine: Engine) -> None:
    config, script = _config(), _script()
    with engine.connect() as connection:
        if _is_current(connection, script):
            return
    with engine.begin() as connection:
        # One transaction for the whole schema, begun before the look: of several processes that open an empty database
        # one makes it and the others find it made, and one that is killed halfway leaves nothing.
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        elif engine.dialect.name == "postgresql":
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MIGRATING})")
        if not _is_current(connection, script):
            config.attributes["connection"] = connection
            command.upgrade(config, "head")


def _is_current(connection: Connection, script: ScriptDirectory) -> bool:
    """Whether the database has this program's schema.

    Raises:
        StoreError: it has one that this program does not know.
    """
    current = MigrationContext.configure(connection).get_current_revision()
    if current is not None and current not in {revision.revision for revision in script.walk_revisions()}:
        raise StoreError(
            f"the database has the schema {current}, which this version of Shakedown does not know",
            hint="use the newer version that made it, or another database",
        )
    return current == script.get_current_head()
