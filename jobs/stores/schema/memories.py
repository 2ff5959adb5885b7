"""What is known of users from their conversations, and what is to be summed up into it."""

from sqlalchemy import BigInteger, Column, Index, Integer, String, Table, Text, UniqueConstraint

from jobs.stores.schema.base import Id, Time, metadata

memories = Table(
    "memories",
    metadata,
    Column("number", Id, primary_key=True),
    Column("tenant", String(64), nullable=False),
    Column("user_id", String(100), nullable=False),
    Column("key", String(64), nullable=False),  # of what it says, however it is written
    Column("text", Text, nullable=False),
    Column("topic", String(200)),
    Column("session_id", String(64)),
    Column("model", String(200), nullable=False),
    Column("created_at", Time(), nullable=False),
    Column("confirmed_at", Time(), nullable=False),  # said the last time
    UniqueConstraint("tenant", "user_id", "key"),
    Index(None, "tenant", "user_id", "number"),
    sqlite_autoincrement=True,
)

pending_memories = Table(
    "pending_memories",
    metadata,
    Column("id", String(32), primary_key=True),  # the job's that sums it up
    Column("tenant", String(64), nullable=False),
    Column("user_id", String(100), nullable=False),
    Column("session_id", String(64)),  # of a logged conversation: its
    Column("exchanges", Integer, nullable=False),  # newest so many, up to
    Column("through_number", BigInteger),  # this one; null: as it is then
    Column("content", Text),  # of one that was given, JSON
    Column("topic", String(200)),
    Column("accepted_at", BigInteger, nullable=False),  # seconds since 1970
    Index(None, "tenant", "user_id"),
    Index(None, "accepted_at"),
)
