"""What calls under way have taken off their users' days.

Revision: 0012.
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "reservations",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("user_id", sa.String(100), nullable=False),
        sa.Column("day", sa.String(10), nullable=False),
        sa.Column("tokens", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_reservations_tenant_user_id", "reservations", ["tenant", "user_id"])
    op.drop_column("pending_conversations", "reserved_tokens")


def downgrade() -> None:
    op.add_column(
        "pending_conversations", sa.Column("reserved_tokens", sa.Integer(), nullable=False, server_default="0")
    )
    op.drop_table("reservations")
