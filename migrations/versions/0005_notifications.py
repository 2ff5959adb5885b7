"""Users, notifications and their deliveries.

Revision: 0005.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

Id = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "users",
        sa.Column("number", Id, nullable=False),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("user_id", sa.String(100), nullable=False),
        sa.Column("email", sa.String(254)),
        sa.Column("phone", sa.String(20)),
        sa.Column("name", sa.String(100)),
        sa.Column("language", sa.String(10), nullable=False),
        sa.Column("preferences", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_users"),
        sa.UniqueConstraint("tenant", "email", name="uq_users_tenant_email"),
        sa.UniqueConstraint("tenant", "user_id", name="uq_users_tenant_user_id"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "notifications",
        sa.Column("number", Id, nullable=False),
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("user_id", sa.String(100), nullable=False),
        sa.Column("event_type", sa.String(100)),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_notifications"),
        sa.UniqueConstraint("id", name="uq_notifications_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_notifications_created_at", "notifications", ["created_at"])
    op.create_index("ix_notifications_tenant_number", "notifications", ["tenant", "number"])
    op.create_index("ix_notifications_tenant_user_id_number", "notifications", ["tenant", "user_id", "number"])
    op.create_table(
        "deliveries",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("notification", Id, nullable=False),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("user_id", sa.String(100), nullable=False),
        sa.Column("event_type", sa.String(100)),
        sa.Column("channel", sa.String(10), nullable=False),
        sa.Column("recipient", sa.String(254), nullable=False),
        sa.Column("subject", sa.String(200), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("html", sa.Text()),
        sa.Column("language", sa.String(10), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("reason", sa.String(64)),
        sa.Column("message", sa.Text()),
        sa.Column("provider", sa.String(20)),
        sa.Column("provider_id", sa.String(200)),
        sa.Column("due_at", sa.BigInteger()),
        sa.Column("digest_id", sa.String(32)),
        sa.Column("digest", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True)),
        sa.ForeignKeyConstraint(
            ["notification"],
            ["notifications.number"],
            name="fk_deliveries_notification_notifications",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_deliveries"),
    )
    op.create_index("ix_deliveries_digest_id", "deliveries", ["digest_id"])
    op.create_index("ix_deliveries_notification", "deliveries", ["notification"])
    op.create_index(
        "ix_deliveries_tenant_user_id_channel_created_at", "deliveries", ["tenant", "user_id", "channel", "created_at"]
    )
    op.create_index(
        "ix_deliveries_waiting",
        "deliveries",
        ["created_at"],
        sqlite_where=sa.text("state = 'queued'"),
        postgresql_where=sa.text("state = 'queued'"),
    )


def downgrade() -> None:
    for table in ("deliveries", "notifications", "users"):
        op.drop_table(table)
