"""Schedules."""

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, String, Table, Text, UniqueConstraint

from jobs.stores.schema.base import Id, Time, metadata

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
    Column("created_at", Time(), nullable=False),
    UniqueConstraint("tenant", "source", "name"),
    Index(None, "next_run"),
    sqlite_autoincrement=True,
)
