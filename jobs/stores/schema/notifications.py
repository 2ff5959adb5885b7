"""Users, what they want to be told, notifications, and what became of each on each channel."""

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, String, Table, Text, UniqueConstraint

from jobs.stores.schema.base import Id, Time, metadata

users = Table(
    "users",
    metadata,
    Column("number", Id, primary_key=True),
    Column("tenant", String(64), nullable=False),
    Column("user_id", String(100), nullable=False),
    Column("email", String(254)),
    Column("phone", String(20)),  # E.164
    Column("name", String(100)),
    Column("language", String(10), nullable=False),  # zh, en
    Column("preferences", Text, nullable=False),  # JSON
    Column("created_at", Time(), nullable=False),
    UniqueConstraint("tenant", "user_id"),
    UniqueConstraint("tenant", "email"),
    sqlite_autoincrement=True,
)

notifications = Table(
    "notifications",
    metadata,
    Column("number", Id, primary_key=True),
    Column("id", String(32), nullable=False, unique=True),
    Column("tenant", String(64), nullable=False),
    Column("user_id", String(100), nullable=False),
    Column("event_type", String(100)),
    Column("created_at", Time(), nullable=False),
    Index(None, "tenant", "number"),
    Index(None, "tenant", "user_id", "number"),
    Index(None, "created_at"),
    sqlite_autoincrement=True,
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", String(32), primary_key=True),  # the job's that sends it
    Column("notification", Id, ForeignKey("notifications.number", ondelete="CASCADE"), nullable=False),
    Column("tenant", String(64), nullable=False),
    Column("user_id", String(100), nullable=False),
    Column("event_type", String(100)),
    Column("channel", String(10), nullable=False),  # email, sms, push
    Column("recipient", String(254), nullable=False),
    Column("subject", String(200), nullable=False),
    Column("text", Text, nullable=False),
    Column("html", Text),
    Column("language", String(10), nullable=False),
    Column("state", String(10), nullable=False),  # queued, sent, failed, unknown, skipped
    Column("reason", String(64)),
    Column("message", Text),  # why it failed, fit for clients
    Column("provider", String(20)),
    Column("provider_id", String(200)),
    Column("due_at", BigInteger),  # seconds since 1970
    Column("digest_id", String(32)),  # the delivery that it goes with
    Column("digest", Integer, nullable=False),  # 1: others may go with this one until it is due
    Column("created_at", Time(), nullable=False),
    Column("ended_at", Time()),
    Index(None, "notification"),
    Index(None, "digest_id"),
    Index(None, "tenant", "user_id", "channel", "created_at"),
)
is_waiting = deliveries.c.state == "queued"
Index("ix_deliveries_waiting", deliveries.c.created_at, sqlite_where=is_waiting, postgresql_where=is_waiting)
