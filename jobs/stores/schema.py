"""Our tables. Every row carries its tenant.

The migrations in `migrations/versions` create them; a test holds the two against each other.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

# SQLite numbers rows by itself only where the key is its own INTEGER type.
Id = BigInteger().with_variant(Integer, "sqlite")

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

documents = Table(
    "documents",
    metadata,
    Column("id", Id, primary_key=True),
    Column("tenant", String(64), nullable=False),
    Column("filename", String(255), nullable=False),
    Column("media_type", String(100), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("blob", String(255), nullable=False),
    Column("status", String(20), nullable=False),  # processing, completed, failed
    Column("job_id", String(64)),
    Column("page_count", Integer, nullable=False, default=0),
    Column("content_length", Integer, nullable=False, default=0),  # characters
    Column("passage_count", Integer, nullable=False, default=0),
    Column("vector_status", String(20), nullable=False, default="pending"),  # pending, completed, failed
    Column("error_code", String(64)),
    Column("error_message", Text),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("completed_at", DateTime(timezone=True)),
    Column("deleted_at", DateTime(timezone=True)),  # hidden since then, until a job has removed all that it had
    sqlite_autoincrement=True,  # an id is never used again
)

is_shown = documents.c.deleted_at.is_(None)
is_hidden = documents.c.deleted_at.is_not(None)
Index(
    "uq_documents_tenant_sha256",
    documents.c.tenant,
    documents.c.sha256,
    unique=True,
    sqlite_where=is_shown,
    postgresql_where=is_shown,
)
Index("ix_documents_hidden", documents.c.tenant, sqlite_where=is_hidden, postgresql_where=is_hidden)

pages = Table(
    "pages",
    metadata,
    Column("document_id", Id, ForeignKey("documents.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True),  # from 1
    Column("tenant", String(64), nullable=False),
    Column("text", Text, nullable=False),
)

passages = Table(
    "passages",
    metadata,
    Column("id", Id, primary_key=True),
    Column("tenant", String(64), nullable=False),
    Column("document_id", Id, ForeignKey("documents.id", ondelete="CASCADE"), nullable=False),
    Column("page", Integer, nullable=False),
    Column("start", Integer, nullable=False),  # offset in the page's text, in characters
    Column("text", Text, nullable=False),
    Index(None, "document_id"),
    sqlite_autoincrement=True,  # the vector index reads "what is new" by id
)

vectors = Table(
    "vectors",
    metadata,
    Column("id", Id, primary_key=True),  # rises with each commit of a tenant: readers ask for "above the last seen"
    Column("passage_id", Id, ForeignKey("passages.id", ondelete="CASCADE"), nullable=False, unique=True),
    Column("document_id", Id, nullable=False),
    Column("tenant", String(64), nullable=False),
    Column("model", String(100), nullable=False),
    Column("dimension", Integer, nullable=False),
    Column("code", LargeBinary, nullable=False),  # a bit for the sign of each component
    Column("embedding", LargeBinary, nullable=False),  # float32, little-endian, unit length
    # Holds all that a process reads to fill its index, so that it never touches the embeddings then.
    Index("ix_vectors_codes", "tenant", "model", "dimension", "id", "passage_id", "document_id", "code"),
    sqlite_autoincrement=True,
)

schedules = Table(
    "schedules",
    metadata,
    Column("number", Id, primary_key=True),  # in the order of creation
    Column("id", String(32), nullable=False, unique=True),
    Column("tenant", String(64), nullable=False),
    Column("name", String(100), nullable=False),
    Column("source", String(10), nullable=False),  # api, file
    Column("type", String(200), nullable=False),
    Column("args", Text, nullable=False),  # JSON
    Column("cron", String(200)),
    Column("every", Integer),  # seconds
    Column("timezone", String(64), nullable=False),
    Column("missed", String(10), nullable=False),  # run_once, skip
    Column("enabled", Boolean, nullable=False),
    Column("anchor", BigInteger, nullable=False),  # seconds since 1970, as next_run: an exact token, and no zone
    Column("next_run", BigInteger),
    Column("runs", Text, nullable=False),  # JSON, newest first
    Column("error_code", String(64)),
    Column("error_message", Text),
    Column("created_at", DateTime(timezone=True), nullable=False),
    UniqueConstraint("tenant", "source", "name"),
    Index(None, "next_run"),
    sqlite_autoincrement=True,
)


def is_ours(_object: object, name: str | None, kind: str, _reflected: bool, _compare_to: object) -> bool:
    """Tell alembic which tables this file describes: the lexical index is DDL of each database's own."""
    return not (kind == "table" and (name or "").startswith(LEXICAL_TABLES))


# `passage_terms` is an FTS5 table with its shadow tables on SQLite, a table with a tsvector on PostgreSQL.
LEXICAL_TABLES = ("passage_terms", "passage_vocabulary")

__all__ = ["documents", "is_hidden", "is_ours", "is_shown", "metadata", "pages", "passages", "schedules", "vectors"]
