"""Statements and transactions, through SQLAlchemy's async engines.

A statement by itself is committed by itself; a transaction is committed when all of its statements went through and
every check held, and rolled back otherwise. Waiting for a connection of the pool counts in the response time, and not
in the service time.
"""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

import sqlalchemy as sa
from sqlalchemy.engine import CursorResult
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from shakedown.errors import LoadError
from shakedown.load import values
from shakedown.load.drivers.operations import OperationsDriver, OperationsVu, Prepared
from shakedown.load.drivers.sql_errors import sql_failure
from shakedown.load.drivers.users import Failure, Running
from shakedown.load.notes import note_of
from shakedown.plan.driver_checks import Facts
from shakedown.plan.drivers import Sql, SqlOperation

if TYPE_CHECKING:
    from shakedown.load.engine import Engine

__all__ = ["SqlDriver"]

FOREVER = 24 * 3600.0  # the operation's own time-out ends the wait


class PreparedSql(Prepared[SqlOperation]):
    """Statements with the templates of their parameters.

    Attributes:
        statements: compiled, each with the names of its parameters.
    """

    def __init__(self, plan: SqlOperation) -> None:
        clauses = [sa.text(one.statement) for one in plan.statements]
        self.statements = [(clause, tuple(clause.compile().params)) for clause in clauses]
        # Every parameter is rendered once: `{{ uuid() }}` is the same in all statements of a transaction.
        own = [values.value(one.parameters) for one in (plan.transaction or [])]
        shared = values.value(plan.parameters)

        def render(names: Mapping[str, object]) -> object:
            common = cast("dict[str, object]", shared(names))
            if not own:
                return [common]
            return [{**common, **cast("dict[str, object]", each(names))} for each in own]

        note = note_of(plan, "parameters", lambda made: made["id"], removes=plan.removes)
        super().__init__("sql", plan, render, (lambda names, made: note(names, made[0], made)) if note else None)  # type: ignore[index]


class SqlDriver(OperationsDriver[SqlOperation]):
    """An engine with its pool, and the operations.

    Raises:
        LoadError: the URL's driver is not there.
    """

    def __init__(self, engine: "Engine", sql: Sql) -> None:
        super().__init__(
            engine, [PreparedSql(operation) for operation in sql.operations], weighted=sql.mode == "weighted"
        )
        spec = engine.spec
        pool = spec.executor.most_vus if sql.pool == "per-vu" else sql.pool
        url = sql.url
        if spec.target is not None:
            host = f"[{spec.target.host}]" if ":" in spec.target.host else spec.target.host
            url = url.replace("{host}", host).replace("{port}", str(spec.target.port))
        try:
            parsed = sa.make_url(url)
            if sql.password is not None:
                parsed = parsed.set(password=sql.password)
            if parsed.get_backend_name() == "sqlite" and parsed.database and parsed.database != ":memory:":
                parsed = parsed.set(database=_inside(spec.base, parsed.database))
            self.database: AsyncEngine = create_async_engine(
                parsed, pool_size=max(engine.share(pool), 1), max_overflow=0, pool_timeout=FOREVER, pool_use_lifo=True
            )
        except (ArgumentError, ImportError, SQLAlchemyError, TypeError) as error:
            raise LoadError(
                f"the database of `{spec.scenario}` cannot be spoken to: {error}",
                hint="the URL's driver must be installed, and be an asynchronous one (asyncpg, aiosqlite, …)",
            ) from error
        self.alone = self.database.execution_options(isolation_level="AUTOCOMMIT")

    async def open(self) -> None:
        """One connection is made beforehand: loading a dialect takes longer than any statement should seem to.

        A database that cannot be reached now is no reason to give up: what each user then meets is what is measured.
        """
        await self.tidy(self._look())

    async def _look(self) -> None:
        async with self.alone.connect() as connection:
            await connection.execute(sa.select(1))

    def vu(self, number: int) -> "SqlVu":
        """A new user."""
        return SqlVu(number, self)

    async def _release(self) -> None:
        await self.database.dispose()


class SqlVu(OperationsVu[SqlOperation]):
    """A user that takes its connections from the pool."""

    driver: SqlDriver

    async def perform(self, operation: Prepared[SqlOperation], payload: object, running: Running) -> int:
        """Do one statement, or one transaction."""
        assert isinstance(operation, PreparedSql)  # noqa: S101 - the driver made them
        parameters = cast("list[dict[str, object]]", payload)
        running.phase = "pool"
        try:
            if operation.plan.transaction is None:
                async with self.driver.alone.connect() as connection:
                    running.mark_sent()
                    facts = await _execute(connection, operation, parameters)
                    self._judge(operation, facts, running)
            else:
                async with self.driver.database.connect() as connection:
                    running.mark_sent()
                    async with connection.begin():
                        facts = await _execute(connection, operation, parameters)
                        self._judge(operation, facts, running)
                if "latency" in operation.checks.subjects:  # the commit belongs to it
                    self._judge(operation, facts, running, committed=True)
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            raise sql_failure(error) from error
        return 0

    @staticmethod
    def _judge(operation: PreparedSql, facts: Facts, running: Running, *, committed: bool = False) -> None:
        facts.latency = time.monotonic() - running.begun
        try:
            operation.judge(facts)
        except Failure as failure:
            # Raised inside a transaction it rolls it back; a statement by itself has been committed already.
            failure.undone = operation.plan.transaction is not None and not committed
            raise


async def _execute(connection: AsyncConnection, operation: PreparedSql, parameters: list[dict[str, object]]) -> Facts:
    """The statements in order; the facts are the last one's."""
    found: dict[str, object] = {}
    for (clause, names), given in zip(operation.statements, parameters, strict=True):
        result: CursorResult[object] = await connection.execute(clause, {name: given[name] for name in names})
        if result.returns_rows:
            rows = result.fetchall()
            found = {"rows": len(rows)}
            if rows:
                found["column"] = dict(zip(result.keys(), rows[0], strict=True))
                found["value"] = rows[0][0]
        else:
            found = {"rows": max(result.rowcount, 0)}
    return Facts(found)


def _inside(base: str, path: str) -> str:
    """A database file starts from the plan's folder, as all paths do."""
    from pathlib import Path  # noqa: PLC0415 - only for files

    return path if path.startswith("file:") else str(Path(base) / path)
