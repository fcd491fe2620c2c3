"""The database engine, its settings, and its migrations."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from shakedown.errors import StoreError

if TYPE_CHECKING:
    from sqlalchemy.engine.interfaces import DBAPIConnection

__all__ = ["open_database"]

VARIABLE = "SHAKEDOWN_DATABASE_URL"
MIGRATIONS = Path(__file__).parent / "migrations"


def open_database(root: Path, url: str | None = None) -> Engine:
    """The database of `url`, of SHAKEDOWN_DATABASE_URL, or SQLite in `root`; brought up to this program's schema.

    Raises:
        StoreError: it cannot be opened, or was made by a newer program.
    """
    url = url or os.environ.get(VARIABLE)
    if url is None:
        try:
            root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"the folder {root} cannot be made: {error.strerror}") from error
        url = f"sqlite:///{root / 'shakedown.db'}"
    try:
        engine = create_engine(url)
        if engine.dialect.name == "sqlite":
            event.listen(engine, "connect", _prepare_sqlite)
        _migrate(engine)
    except (ArgumentError, NoSuchModuleError, ImportError) as error:
        raise StoreError(f"{VARIABLE} is no database URL that can be used: {error}") from error
    except SQLAlchemyError as error:
        place = make_url(url).render_as_string(hide_password=True)
        raise StoreError(f"the database {place} cannot be opened: {getattr(error, 'orig', error)}") from error
    return engine


def _prepare_sqlite(connection: "DBAPIConnection", _: object) -> None:
    """Readers do not block the writer (WAL); several processes wait for each other; references are kept."""
    cursor = connection.cursor()
    for setting in ("journal_mode=WAL", "busy_timeout=15000", "foreign_keys=ON", "synchronous=NORMAL"):
        cursor.execute(f"PRAGMA {setting}")
    cursor.close()


def _migrate(engine: Engine) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    script = ScriptDirectory.from_config(config)
    with engine.begin() as connection:
        current = MigrationContext.configure(connection).get_current_revision()
        if current == script.get_current_head():
            return
        if current is not None and current not in {revision.revision for revision in script.walk_revisions()}:
            raise StoreError(
                f"the database has the schema {current}, which this version of Shakedown does not know",
                hint="use the newer version that made it, or another database",
            )
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
