"""Figures, regressions, artifacts; what a run was measured on as columns; indexes for years of runs"""

import json
import re

import sqlalchemy as sa
from alembic import op

from shakedown.errors import StoreError

revision = '0003'
down_revision = '0002'
branch_labels = None
depends_on = None

# The schema before this revision, column by column; `?` may be empty. Databases that were made while the first schema was
# still being changed say that they have it and lack some of it.
BEFORE = {
    'comparison': 'id:INTEGER run_id:VARCHAR subject:VARCHAR metric:VARCHAR unit:VARCHAR before:FLOAT? after:FLOAT? tolerance:FLOAT verdict:VARCHAR samples:INTEGER reason:TEXT',
    'cycle': 'id:INTEGER run_id:VARCHAR repetition:INTEGER at:FLOAT source:VARCHAR series:VARCHAR value:FLOAT',
    'error': 'id:INTEGER run_id:VARCHAR stage:VARCHAR label:VARCHAR repetition:INTEGER kind:VARCHAR request:VARCHAR count:INTEGER first_at:FLOAT last_at:FLOAT example:TEXT',
    'event': 'id:INTEGER run_id:VARCHAR at:FLOAT kind:VARCHAR subject:VARCHAR message:TEXT',
    'experiment': 'id:INTEGER run_id:VARCHAR name:VARCHAR position:INTEGER fault:VARCHAR target:VARCHAR applied_at:FLOAT? reverted_at:FLOAT? detected_after:FLOAT? recovered_after:FLOAT? verdict:VARCHAR? reason:TEXT record:TEXT recovery:TEXT?',
    'finding': 'id:INTEGER run_id:VARCHAR stage:VARCHAR severity:VARCHAR title:TEXT cause:TEXT evidence:VARCHAR recommendation:TEXT subject:VARCHAR',
    'histogram': 'id:INTEGER run_id:VARCHAR stage:VARCHAR label:VARCHAR repetition:INTEGER kind:VARCHAR request:VARCHAR outcome:VARCHAR second:INTEGER response:BLOB service:BLOB? bytes_received:BIGINT unanswered:INTEGER warm_up:BOOLEAN',
    'ledger': 'id:INTEGER run_id:VARCHAR ledger:VARCHAR acknowledged:INTEGER lost:INTEGER duplicated:INTEGER record:TEXT',
    'load': 'id:INTEGER run_id:VARCHAR stage:VARCHAR label:VARCHAR repetition:INTEGER scenario:VARCHAR executor:VARCHAR start:FLOAT end:FLOAT target_rate:FLOAT? warm_up:FLOAT rate_held:BOOLEAN interrupted:BOOLEAN counts:VARCHAR generator:VARCHAR',
    'probe': 'id:INTEGER run_id:VARCHAR at:FLOAT service:VARCHAR healthy:BOOLEAN latency:FLOAT detail:VARCHAR',
    'pulse': 'id:INTEGER run_id:VARCHAR stage:VARCHAR label:VARCHAR repetition:INTEGER slot:INTEGER ok:INTEGER bad:INTEGER slowest:FLOAT',
    'run': 'id:VARCHAR plan:VARCHAR plan_path:VARCHAR plan_digest:VARCHAR plan_json:TEXT profile:VARCHAR? overrides:VARCHAR command:VARCHAR started:DATETIME ended_at:FLOAT? status:VARCHAR verdict:VARCHAR? reason:TEXT exit_code:INTEGER? host:VARCHAR pid:INTEGER pid_created:FLOAT version:VARCHAR seed:BIGINT planned:FLOAT environment:TEXT',
    'sample': 'id:INTEGER run_id:VARCHAR at:FLOAT source:VARCHAR series:VARCHAR value:FLOAT',
    'service': 'id:INTEGER run_id:VARCHAR name:VARCHAR kind:VARCHAR image:VARCHAR',
    'stage': 'id:INTEGER run_id:VARCHAR name:VARCHAR position:INTEGER verdict:VARCHAR? reason:TEXT start:FLOAT? end:FLOAT?',
    'suite': 'id:INTEGER run_id:VARCHAR stage:VARCHAR label:VARCHAR repetition:INTEGER start:FLOAT end:FLOAT workers:INTEGER exit_code:INTEGER? peak_memory:BIGINT problem:VARCHAR? skipped:VARCHAR? command:TEXT order_seed:BIGINT?',
    'test': 'id:INTEGER suite_id:INTEGER test:VARCHAR status:VARCHAR duration:FLOAT message:TEXT traceback:TEXT',
    'threshold': 'id:INTEGER run_id:VARCHAR stage:VARCHAR scope:VARCHAR text:VARCHAR verdict:VARCHAR actual:FLOAT? limit:FLOAT unit:VARCHAR samples:INTEGER reason:TEXT',
}
TYPES = {
    'INTEGER': sa.Integer, 'BIGINT': sa.BigInteger, 'FLOAT': sa.Float, 'BOOLEAN': sa.Boolean, 'VARCHAR': sa.String,
    'TEXT': sa.Text, 'BLOB': sa.LargeBinary, 'DATETIME': sa.DateTime,
}
EMPTY = {'INTEGER': '0', 'BIGINT': '0', 'FLOAT': '0', 'BOOLEAN': sa.false(), 'VARCHAR': '', 'TEXT': ''}
# Columns that rows may do without: nothing was kept apart, or counted, before there was a column for it.
HARMLESS = {('load', 'warm_up'), ('histogram', 'warm_up'), ('histogram', 'unanswered')}
RUN = (
    ('workload', sa.String, ''), ('machine', sa.String, ''), ('build', sa.String, ''), ('git_commit', sa.String, ''),
    ('kernel', sa.String, ''), ('cpu', sa.String, ''), ('container_engine', sa.String, ''), ('python', sa.String, ''),
    ('figured', sa.Integer, '0'),
)


def upgrade() -> None:
    """Complete what is there, then add what is new."""
    connection = op.get_bind()
    _complete(connection)
    for name, kind, default in RUN:
        op.add_column('run', sa.Column(name, kind(), nullable=False, server_default=default))
    for name, kind in (('git_dirty', sa.Boolean), ('cores', sa.Integer), ('memory', sa.BigInteger)):
        op.add_column('run', sa.Column(name, kind(), nullable=True))
    op.add_column('service', sa.Column('image_digest', sa.String(), nullable=False, server_default=''))
    op.drop_index('ix_run_plan', table_name='run', if_exists=True)
    op.create_index('run_by_plan', 'run', ['plan', 'started'])
    op.create_index('run_by_workload', 'run', ['workload', 'machine', 'started'])
    for column in ('status', 'build', 'git_commit'):
        op.create_index(f'ix_run_{column}', 'run', [column])
    _figure()
    _regression()
    _artifact()
    _from_environment(connection)


def _run_id() -> sa.Column:
    return sa.Column('run_id', sa.String(), sa.ForeignKey('run.id', ondelete='CASCADE'), nullable=False)


def _figure() -> None:
    op.create_table(
        'figure',
        sa.Column('id', sa.Integer(), primary_key=True, nullable=False),
        _run_id(),
        sa.Column('stage', sa.String(), nullable=False),
        sa.Column('subject', sa.String(), nullable=False),
        sa.Column('metric', sa.String(), nullable=False),
        sa.Column('unit', sa.String(), nullable=False),
        sa.Column('value', sa.Float(), nullable=True),
        sa.Column('samples', sa.Integer(), nullable=False),
        sa.Column('doubt', sa.Text(), nullable=False),
    )
    op.create_index('figure_of_run', 'figure', ['run_id', 'stage', 'subject', 'metric'], unique=True)
    op.create_index('figure_by_name', 'figure', ['stage', 'subject', 'metric', 'run_id'])


def _regression() -> None:
    op.create_table(
        'regression',
        sa.Column('id', sa.Integer(), primary_key=True, nullable=False),
        _run_id(),
        sa.Column('stage', sa.String(), nullable=False),
        sa.Column('subject', sa.String(), nullable=False),
        sa.Column('metric', sa.String(), nullable=False),
        sa.Column('unit', sa.String(), nullable=False),
        sa.Column('change', sa.String(), nullable=False),
        sa.Column('value', sa.Float(), nullable=True),
        sa.Column('usual', sa.Float(), nullable=True),
        sa.Column('limit', sa.Float(), nullable=True),
        sa.Column('runs', sa.Integer(), nullable=False),
        sa.Column('in_a_row', sa.Integer(), nullable=False),
        sa.Column('reason', sa.Text(), nullable=False),
    )
    op.create_index('ix_regression_run_id', 'regression', ['run_id'])


def _artifact() -> None:
    op.create_table(
        'artifact',
        sa.Column('id', sa.Integer(), primary_key=True, nullable=False),
        _run_id(),
        sa.Column('path', sa.String(), nullable=False),
        sa.Column('size', sa.BigInteger(), nullable=False),
        sa.Column('sha256', sa.String(), nullable=False),
    )
    op.create_index('artifact_of_run', 'artifact', ['run_id', 'path'], unique=True)


def _complete(connection: sa.Connection) -> None:
    """Add the columns that the earlier schema should have; one that cannot be made up is told."""
    found = sa.inspect(connection)
    tables = set(found.get_table_names())
    for table, columns in BEFORE.items():
        if table not in tables:
            raise _broken(f'it has no table {table}')
        known = {column['name']: column for column in found.get_columns(table)}
        empty = connection.execute(sa.select(sa.literal(1)).select_from(sa.table(table)).limit(1)).first() is None
        for column in columns.split():
            name, _, kind = column.rstrip('?').partition(':')
            if name in known:
                if kind == 'BIGINT' and connection.dialect.name == 'postgresql' and not isinstance(known[name]['type'], sa.BigInteger):
                    op.alter_column(table, name, type_=sa.BigInteger())
            elif column.endswith('?'):
                op.add_column(table, sa.Column(name, TYPES[kind](), nullable=True))
            elif (table, name) in HARMLESS or (empty and kind in EMPTY and name not in ('id', 'run_id', 'suite_id')):
                op.add_column(table, sa.Column(name, TYPES[kind](), nullable=False, server_default=EMPTY[kind]))
            else:
                raise _broken(f'its table {table} has no column {name}')


def _broken(what: str) -> StoreError:
    return StoreError(
        f'the database says that it has the schema 0002, but {what}',
        hint='an unreleased version made it; move it away, and a new one is made',
    )


def _from_environment(connection: sa.Connection) -> None:
    """What earlier runs knew of their machine stood in JSON."""
    run = sa.table(
        'run', sa.column('id', sa.String), sa.column('environment', sa.Text), sa.column('kernel', sa.String),
        sa.column('cores', sa.Integer), sa.column('python', sa.String),
    )
    for row in connection.execute(sa.select(run.c.id, run.c.environment)).all():
        try:
            environment = json.loads(row.environment or '{}')
            system, cores = str(environment.get('system', '')), str(environment.get('cores', ''))
            known = {'kernel': system.partition(' ')[2], 'python': str(environment.get('python', ''))}
        except (ValueError, AttributeError):
            continue
        values = known | ({'cores': int(cores)} if re.fullmatch(r'\d{1,6}', cores) else {})
        connection.execute(run.update().where(run.c.id == row.id).values(**values))


def downgrade() -> None:
    """Take back."""
    for table in ('artifact', 'regression', 'figure'):
        op.drop_table(table)
    for index in ('run_by_plan', 'run_by_workload', 'ix_run_status', 'ix_run_build', 'ix_run_git_commit'):
        op.drop_index(index, table_name='run')
    op.create_index('ix_run_plan', 'run', ['plan'])
    with op.batch_alter_table('service') as batch_op:
        batch_op.drop_column('image_digest')
    with op.batch_alter_table('run') as batch_op:
        for name in (*(name for name, _, _ in RUN), 'git_dirty', 'cores', 'memory'):
            batch_op.drop_column(name)
