"""Sessions are looked up by their user too: two users may have one of the same name.

Revision: 0013.
"""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_TABLES = ("conversations", "pending_conversations")


def upgrade() -> None:
    for table in _TABLES:
        op.drop_index(f"ix_{table}_tenant_session_id_number", table)
        name = f"ix_{table}_tenant_user_id_session_id_number"
        op.create_index(name, table, ["tenant", "user_id", "session_id", "number"])


def downgrade() -> None:
    for table in _TABLES:
        op.drop_index(f"ix_{table}_tenant_user_id_session_id_number", table)
        op.create_index(f"ix_{table}_tenant_session_id_number", table, ["tenant", "session_id", "number"])
