"""What calls of language models have used: a row for each call, and the sums of days that are over."""

from sqlalchemy import BigInteger, Boolean, Column, Date, Index, String, Table, UniqueConstraint

from jobs.stores.schema.base import Id, Time, metadata

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
    Column("created_at", Time(), nullable=False),
    Column("rolled_up", Boolean, nullable=False),  # it is in the sum of its day
    UniqueConstraint("tenant", "key"),
    Index(None, "tenant", "user_id", "day"),
    Index(None, "day"),
    sqlite_autoincrement=True,
)
is_live = ~usage.c.rolled_up
Index("ix_usage_live", usage.c.tenant, usage.c.day, sqlite_where=is_live, postgresql_where=is_live)

usage_days = Table(
    "usage_days",
    metadata,
    Column("tenant", String(64), primary_key=True),
    Column("day", Date, primary_key=True),
    Column("user_id", String(100), primary_key=True),
    Column("model", String(200), primary_key=True),
    Column("source", String(40), primary_key=True),
    Column("currency", String(3), primary_key=True),
    Column("calls", BigInteger, nullable=False),
    Column("prompt_tokens", BigInteger, nullable=False),
    Column("completion_tokens", BigInteger, nullable=False),
    Column("estimated", BigInteger, nullable=False),  # calls
    Column("cost", BigInteger),  # of the calls with a price; null without any
    Column("priced", BigInteger, nullable=False),  # calls
    Index(None, "tenant", "user_id", "day"),
)
