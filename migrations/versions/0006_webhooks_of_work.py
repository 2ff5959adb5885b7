"""Which webhooks have been told of an end of accepted work.

Revision: 0006.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

IS_UNTOLD = sa.text("webhooks > 0 AND told <> generation")


def upgrade() -> None:
    op.add_column("work", sa.Column("webhooks", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("work", sa.Column("told", sa.Integer(), nullable=False, server_default="-1"))
    op.create_index("ix_work_untold", "work", ["number"], sqlite_where=IS_UNTOLD, postgresql_where=IS_UNTOLD)


def downgrade() -> None:
    op.drop_index("ix_work_untold", "work")
    op.drop_column("work", "told")
    op.drop_column("work", "webhooks")
