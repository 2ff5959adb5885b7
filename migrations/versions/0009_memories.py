"""Sessions with their analysis, users' memories, exports, and the daily sums of usage.

Revision: 0009.
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

Id = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.add_column("pending_conversations", sa.Column("user_id", sa.String(100), nullable=False, server_default=""))
    _create_sessions()
    _create_memories()
    _create_exports()
    _create_usage_days()


def _create_sessions() -> None:
    op.create_table(
        "sessions",
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("user_id", sa.String(100), nullable=False),
        sa.Column("session_id", sa.String(64), nullable=False),
        sa.Column("topic", sa.String(200)),
        sa.Column("exchanges", sa.BigInteger(), nullable=False),
        sa.Column("last_number", sa.BigInteger(), nullable=False),
        sa.Column("memorized", sa.BigInteger(), nullable=False),
        sa.Column("analyzed_number", sa.BigInteger(), nullable=False),
        sa.Column("claimed_by", sa.String(32)),
        sa.Column("claimed_until", sa.BigInteger(), nullable=False),
        sa.Column("analysis", sa.Text()),
        sa.Column("analysis_model", sa.String(200)),
        sa.Column("analyzed_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("tenant", "user_id", "session_id", name="pk_sessions"),
    )
    op.create_index("ix_sessions_tenant_user_id_last_number", "sessions", ["tenant", "user_id", "last_number"])
    grown = sa.text("analyzed_number < last_number")
    op.create_index(
        "ix_sessions_grown", "sessions", ["tenant", "last_number"], sqlite_where=grown, postgresql_where=grown
    )
    # What was logged before counts as memorized and analyzed: an upgrade asks no model anything.
    op.execute(
        "INSERT INTO sessions (tenant, user_id, session_id, topic, exchanges, last_number, memorized, analyzed_number, "
        "claimed_until) "
        "SELECT tenant, user_id, session_id, max(topic), count(*), max(number), count(*), max(number), 0 "
        "FROM conversations GROUP BY tenant, user_id, session_id"
    )


def _create_memories() -> None:
    op.create_table(
        "memories",
        sa.Column("number", Id, nullable=False),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("user_id", sa.String(100), nullable=False),
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("topic", sa.String(200)),
        sa.Column("session_id", sa.String(64)),
        sa.Column("model", sa.String(200), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("confirmed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_memories"),
        sa.UniqueConstraint("tenant", "user_id", "key", name="uq_memories_tenant_user_id_key"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_memories_tenant_user_id_number", "memories", ["tenant", "user_id", "number"])
    op.create_table(
        "pending_memories",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("user_id", sa.String(100), nullable=False),
        sa.Column("session_id", sa.String(64)),
        sa.Column("exchanges", sa.Integer(), nullable=False),
        sa.Column("through_number", sa.BigInteger()),
        sa.Column("content", sa.Text()),
        sa.Column("topic", sa.String(200)),
        sa.Column("accepted_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_pending_memories"),
    )
    op.create_index("ix_pending_memories_tenant_user_id", "pending_memories", ["tenant", "user_id"])
    op.create_index("ix_pending_memories_accepted_at", "pending_memories", ["accepted_at"])


def _create_exports() -> None:
    op.create_table(
        "exports",
        sa.Column("number", Id, nullable=False),
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("user_id", sa.String(100), nullable=False),
        sa.Column("format", sa.String(10), nullable=False),
        sa.Column("status", sa.String(10), nullable=False),
        sa.Column("blob", sa.String(200)),
        sa.Column("size", sa.BigInteger()),
        sa.Column("records", sa.Text()),
        sa.Column("error_code", sa.String(64)),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("completed_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("number", name="pk_exports"),
        sa.UniqueConstraint("id", name="uq_exports_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_exports_tenant_user_id_number", "exports", ["tenant", "user_id", "number"])
    op.create_index("ix_exports_blob", "exports", ["blob"])
    op.create_index("ix_exports_created_at", "exports", ["created_at"])


def _create_usage_days() -> None:
    op.create_table(
        "usage_days",
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("user_id", sa.String(100), nullable=False),
        sa.Column("model", sa.String(200), nullable=False),
        sa.Column("source", sa.String(40), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("calls", sa.BigInteger(), nullable=False),
        sa.Column("prompt_tokens", sa.BigInteger(), nullable=False),
        sa.Column("completion_tokens", sa.BigInteger(), nullable=False),
        sa.Column("estimated", sa.BigInteger(), nullable=False),
        sa.Column("cost", sa.BigInteger()),
        sa.Column("priced", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "day", "user_id", "model", "source", "currency", name="pk_usage_days"),
    )
    op.create_index("ix_usage_days_tenant_user_id_day", "usage_days", ["tenant", "user_id", "day"])
    op.add_column("usage", sa.Column("rolled_up", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_index(
        "ix_usage_live",
        "usage",
        ["tenant", "day"],
        sqlite_where=sa.text("rolled_up = 0"),
        postgresql_where=sa.text("NOT rolled_up"),
    )
    op.create_index("ix_usage_day", "usage", ["day"])
    op.drop_index("ix_usage_tenant_day", "usage")


def downgrade() -> None:
    op.create_index("ix_usage_tenant_day", "usage", ["tenant", "day"])
    op.drop_index("ix_usage_day", "usage")
    op.drop_index("ix_usage_live", "usage")
    op.drop_column("usage", "rolled_up")
    for table in ("usage_days", "exports", "pending_memories", "memories", "sessions"):
        op.drop_table(table)
    op.drop_column("pending_conversations", "user_id")
