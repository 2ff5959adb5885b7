"""Documents, their pages, passages, vectors and the lexical index.

Revision: 0001.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

Id = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    _create_documents()
    _create_passages()
    _create_vectors()
    if op.get_bind().dialect.name == "sqlite":
        # The tokens are ours: letters and digits of any script, so bytes above ASCII must all count as letters.
        op.execute("CREATE VIRTUAL TABLE passage_terms USING fts5(terms, content='', tokenize='ascii')")
        op.execute("CREATE VIRTUAL TABLE passage_vocabulary USING fts5vocab(passage_terms, 'row')")
    else:
        op.execute(
            "CREATE TABLE passage_terms (passage_id bigint PRIMARY KEY REFERENCES passages (id) ON DELETE CASCADE,"
            " terms tsvector NOT NULL)"
        )
        op.execute("CREATE INDEX ix_passage_terms_terms ON passage_terms USING gin (terms) WITH (fastupdate = off)")


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP TABLE passage_vocabulary")
    for table in ("passage_terms", "vectors", "passages", "pages", "documents"):
        op.execute(f"DROP TABLE {table}")


def _create_documents() -> None:
    op.create_table(
        "documents",
        sa.Column("id", Id, nullable=False),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("filename", sa.String(255), nullable=False),
        sa.Column("media_type", sa.String(100), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("blob", sa.String(255), nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("job_id", sa.String(64)),
        sa.Column("page_count", sa.Integer(), nullable=False),
        sa.Column("content_length", sa.Integer(), nullable=False),
        sa.Column("passage_count", sa.Integer(), nullable=False),
        sa.Column("vector_status", sa.String(20), nullable=False),
        sa.Column("error_code", sa.String(64)),
        sa.Column("error_message", sa.Text()),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("completed_at", sa.DateTime(timezone=True)),
        sa.Column("deleted_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name="pk_documents"),
        sqlite_autoincrement=True,
    )
    shown, hidden = sa.text("deleted_at IS NULL"), sa.text("deleted_at IS NOT NULL")
    op.create_index(
        "uq_documents_tenant_sha256",
        "documents",
        ["tenant", "sha256"],
        unique=True,
        sqlite_where=shown,
        postgresql_where=shown,
    )
    op.create_index("ix_documents_hidden", "documents", ["tenant"], sqlite_where=hidden, postgresql_where=hidden)
    _create_pages()


def _create_pages() -> None:
    op.create_table(
        "pages",
        sa.Column("document_id", Id, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["document_id"], ["documents.id"], name="fk_pages_document_id_documents", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("document_id", "number", name="pk_pages"),
    )


def _create_passages() -> None:
    op.create_table(
        "passages",
        sa.Column("id", Id, nullable=False),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("document_id", Id, nullable=False),
        sa.Column("page", sa.Integer(), nullable=False),
        sa.Column("start", sa.Integer(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["document_id"], ["documents.id"], name="fk_passages_document_id_documents", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_passages"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_passages_document_id", "passages", ["document_id"])


def _create_vectors() -> None:
    op.create_table(
        "vectors",
        sa.Column("id", Id, nullable=False),
        sa.Column("passage_id", Id, nullable=False),
        sa.Column("document_id", Id, nullable=False),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("model", sa.String(100), nullable=False),
        sa.Column("dimension", sa.Integer(), nullable=False),
        sa.Column("code", sa.LargeBinary(), nullable=False),
        sa.Column("embedding", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["passage_id"], ["passages.id"], name="fk_vectors_passage_id_passages", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_vectors"),
        sa.UniqueConstraint("passage_id", name="uq_vectors_passage_id"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_vectors_codes",
        "vectors",
        ["tenant", "model", "dimension", "id", "passage_id", "document_id", "code"],
    )
