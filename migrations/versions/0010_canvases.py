"""Canvases and their last versions.

Revision: 0010.
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

Id = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "canvases",
        sa.Column("number", Id, nullable=False),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("made_by", sa.String(64)),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("number", name="pk_canvases"),
        sa.UniqueConstraint("tenant", "name", name="uq_canvases_tenant_name"),
        sa.UniqueConstraint("tenant", "made_by", name="uq_canvases_tenant_made_by"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "canvas_versions",
        sa.Column("canvas", Id, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("etag", sa.String(64), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("nodes", sa.Integer(), nullable=False),
        sa.Column("edges", sa.Integer(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["canvas"], ["canvases.number"], name="fk_canvas_versions_canvas_canvases", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("canvas", "version", name="pk_canvas_versions"),
    )


def downgrade() -> None:
    for table in ("canvas_versions", "canvases"):
        op.drop_table(table)
