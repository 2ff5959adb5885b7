"""Files with all that is kept of a user, for the user."""

from sqlalchemy import BigInteger, Column, Index, String, Table, Text

from jobs.stores.schema.base import Id, Time, metadata

exports = Table(
    "exports",
    metadata,
    Column("number", Id, primary_key=True),
    Column("id", String(32), nullable=False, unique=True),  # the job's that writes it
    Column("tenant", String(64), nullable=False),
    Column("user_id", String(100), nullable=False),
    Column("format", String(10), nullable=False),  # jsonl, csv
    Column("status", String(10), nullable=False),  # processing, completed, failed
    Column("blob", String(200)),
    Column("size", BigInteger),  # bytes
    Column("records", Text),  # how many of each kind, JSON
    Column("error_code", String(64)),
    Column("created_at", Time(), nullable=False),
    Column("completed_at", Time()),
    Index(None, "tenant", "user_id", "number"),
    Index(None, "blob"),
    Index(None, "created_at"),
    sqlite_autoincrement=True,
)
