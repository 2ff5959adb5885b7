"""Research: what was asked, and what came of it."""

from sqlalchemy import Column, Index, Integer, LargeBinary, String, Table, Text

from jobs.stores.schema.base import Id, Time, metadata

research = Table(
    "research",
    metadata,
    Column("number", Id, primary_key=True),
    Column("id", String(64), nullable=False, unique=True),  # the job's
    Column("tenant", String(64), nullable=False),
    Column("user_id", String(100), nullable=False),  # empty: of no user
    Column("query", Text, nullable=False),
    Column("title", String(200), nullable=False),  # empty until there is one
    Column("status", String(20), nullable=False),  # open, completed, failed, canceled
    Column("model", String(200), nullable=False),
    Column("tokens", Integer, nullable=False),
    Column("content", LargeBinary),  # JSON, packed by zlib: the report, its sources, what was cut, what was told
    Column("created_at", Time(), nullable=False),
    Column("ended_at", Time()),
    Index(None, "tenant", "number"),
    Index(None, "tenant", "user_id", "number"),
    Index(None, "ended_at"),
    sqlite_autoincrement=True,
)
