"""Documents, their pages, passages and vectors."""

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, LargeBinary, String, Table, Text

from jobs.stores.schema.base import Id, Time, metadata

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
    Column("created_at", Time(), nullable=False),
    Column("completed_at", Time()),
    Column("deleted_at", Time()),  # hidden since then, until a job has removed all that it had
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
