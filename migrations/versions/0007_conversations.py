"""Conversations, those that wait to be logged, and what each user has used.

Revision: 0007.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

Id = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "conversations",
        sa.Column("number", Id, nullable=False),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("user_id", sa.String(100), nullable=False),
        sa.Column("session_id", sa.String(64), nullable=False),
        sa.Column("topic", sa.String(200)),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("response", sa.Text(), nullable=False),
        sa.Column("cut_off", sa.Boolean(), nullable=False),
        sa.Column("model", sa.String(100), nullable=False),
        sa.Column("prompt_tokens", sa.Integer(), nullable=False),
        sa.Column("completion_tokens", sa.Integer(), nullable=False),
        sa.Column("estimated", sa.Boolean(), nullable=False),
        sa.Column("response_time", sa.Float(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_conversations"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_conversations_tenant_session_id_number", "conversations", ["tenant", "session_id", "number"])
    op.create_index("ix_conversations_tenant_user_id_number", "conversations", ["tenant", "user_id", "number"])
    op.create_table(
        "pending_conversations",
        sa.Column("number", Id, nullable=False),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("session_id", sa.String(64), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("reserved_tokens", sa.Integer(), nullable=False),
        sa.Column("accepted_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_pending_conversations"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_pending_conversations_tenant_session_id_number", "pending_conversations", ["tenant", "session_id", "number"]
    )
    op.create_index("ix_pending_conversations_tenant_number", "pending_conversations", ["tenant", "number"])
    op.create_table(
        "user_stats",
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("user_id", sa.String(100), nullable=False),
        sa.Column("total_conversations", sa.BigInteger(), nullable=False),
        sa.Column("total_tokens", sa.BigInteger(), nullable=False),
        sa.Column("last_conversation_at", sa.DateTime(timezone=True)),
        sa.Column("alert", sa.Integer(), nullable=False),
        sa.Column("day", sa.String(10), nullable=False),
        sa.Column("day_conversations", sa.BigInteger(), nullable=False),
        sa.Column("day_tokens", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "user_id", name="pk_user_stats"),
    )


def downgrade() -> None:
    for table in ("user_stats", "pending_conversations", "conversations"):
        op.drop_table(table)
