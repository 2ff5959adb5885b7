"""Work that was accepted: jobs, batches, and requests with an `Idempotency-Key`.

Revision: 0003.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

Id = sa.BigInteger().with_variant(sa.Integer, "sqlite")
IS_OPEN = sa.text("state = 'open'")


def upgrade() -> None:
    op.create_table(
        "work",
        sa.Column("number", Id, nullable=False),
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("type", sa.String(200), nullable=False),
        sa.Column("batch_id", sa.String(64)),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.String(64)),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("keep", sa.Integer(), nullable=False),
        sa.Column("result", sa.Text()),
        sa.Column("error_code", sa.String(64)),
        sa.Column("error_message", sa.Text()),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True)),
        sa.Column("forget_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("number", name="pk_work"),
        sa.UniqueConstraint("id", name="uq_work_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_work_open", "work", ["number"], sqlite_where=IS_OPEN, postgresql_where=IS_OPEN)
    op.create_index(
        "uq_work_fingerprint",
        "work",
        ["tenant", "fingerprint"],
        unique=True,
        sqlite_where=IS_OPEN,
        postgresql_where=IS_OPEN,
    )
    op.create_index("ix_work_fingerprint", "work", ["tenant", "fingerprint", "number"])
    op.create_index("ix_work_batch", "work", ["batch_id"])
    op.create_index("ix_work_forget_at", "work", ["forget_at"])
    op.create_table(
        "batches",
        sa.Column("number", Id, nullable=False),
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("callback_id", sa.String(64)),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("forget_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("number", name="pk_batches"),
        sa.UniqueConstraint("id", name="uq_batches_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_batches_tenant_number", "batches", ["tenant", "number"])
    op.create_index("ix_batches_forget_at", "batches", ["forget_at"])
    op.create_table(
        "requests",
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("request", sa.String(64)),
        sa.Column("answer", sa.Text()),
        sa.Column("token", sa.String(32), nullable=False),
        sa.Column("began_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "key", name="pk_requests"),
    )
    op.create_index("ix_requests_began_at", "requests", ["began_at"])


def downgrade() -> None:
    for table in ("requests", "batches", "work"):
        op.drop_table(table)
