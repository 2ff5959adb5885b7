"""What calls of language models have used: a row for each call."""

from sqlalchemy import BigInteger, Boolean, Column, Date, DateTime, Index, String, Table, UniqueConstraint

from jobs.stores.schema.base import Id, metadata

usage = Table(
    "usage",
    metadata,
    Column("number", Id, primary_key=True),
    Column("tenant", String(64), nullable=False),
    Column("key", String(200), nullable=False),  # of the call, the same in every attempt
    Column("user_id", String(100), nullable=False),  # empty: of no user
    Column("model", String(200), nullable=False),
    Column("source", String(40), nullable=False),  # the capability: chat, agents, ...
    Column("day", Date, nullable=False),  # UTC
    Column("prompt_tokens", BigInteger, nullable=False),
    Column("completion_tokens", BigInteger, nullable=False),
    Column("estimated", Boolean, nullable=False),
    Column("cost", BigInteger),  # 10^-10 of the currency; null: the model had no price
    Column("currency", String(3), nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    UniqueConstraint("tenant", "key"),
    Index(None, "tenant", "day"),
    Index(None, "tenant", "user_id", "day"),
    sqlite_autoincrement=True,
)
