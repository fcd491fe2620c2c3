"""The order of shuffled suites; experiments of several injections"""

import json

import sqlalchemy as sa
from alembic import op

revision = '0002'
down_revision = '0001'
branch_labels = None
depends_on = None

OF_THE_WHOLE = ('name', 'watched_until')


def upgrade() -> None:
    """An experiment was one fault, with its fields beside the name; now it has a list of them."""
    with op.batch_alter_table('suite', schema=None) as batch_op:
        batch_op.add_column(sa.Column('order_seed', sa.BigInteger(), nullable=True))
    experiment = sa.table('experiment', sa.column('id', sa.Integer), sa.column('record', sa.Text))
    connection = op.get_bind()
    for row in connection.execute(sa.select(experiment.c.id, experiment.c.record)).all():
        record = json.loads(row.record)
        if 'injections' in record:
            continue
        injection = {key: value for key, value in record.items() if key not in OF_THE_WHOLE}
        changed = {key: record.get(key) for key in OF_THE_WHOLE} | {'injections': [injection]}
        connection.execute(experiment.update().where(experiment.c.id == row.id).values(record=json.dumps(changed)))


def downgrade() -> None:
    """Back to one fault each; of several only the first is kept."""
    experiment = sa.table('experiment', sa.column('id', sa.Integer), sa.column('record', sa.Text))
    connection = op.get_bind()
    for row in connection.execute(sa.select(experiment.c.id, experiment.c.record)).all():
        record = json.loads(row.record)
        first = (record.pop('injections', None) or [{}])[0]
        flat = {key: record.get(key) for key in OF_THE_WHOLE} | first
        connection.execute(experiment.update().where(experiment.c.id == row.id).values(record=json.dumps(flat)))
    with op.batch_alter_table('suite', schema=None) as batch_op:
        batch_op.drop_column('order_seed')
