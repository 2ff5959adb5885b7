"""Schedules.

Revision: 0002.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

Id = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "schedules",
        sa.Column("number", Id, nullable=False),
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("source", sa.String(10), nullable=False),
        sa.Column("type", sa.String(200), nullable=False),
        sa.Column("args", sa.Text(), nullable=False),
        sa.Column("cron", sa.String(200)),
        sa.Column("every", sa.Integer()),
        sa.Column("timezone", sa.String(64), nullable=False),
        sa.Column("missed", sa.String(10), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("anchor", sa.BigInteger(), nullable=False),
        sa.Column("next_run", sa.BigInteger()),
        sa.Column("runs", sa.Text(), nullable=False),
        sa.Column("error_code", sa.String(64)),
        sa.Column("error_message", sa.Text()),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_schedules"),
        sa.UniqueConstraint("id", name="uq_schedules_id"),
        sa.UniqueConstraint("tenant", "source", "name", name="uq_schedules_tenant_source_name"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_schedules_next_run", "schedules", ["next_run"])


def downgrade() -> None:
    op.drop_table("schedules")
