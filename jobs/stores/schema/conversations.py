"""Conversations as they were logged, those that wait to be, and what each user has used."""

from sqlalchemy import BigInteger, Boolean, Column, Float, Index, Integer, String, Table, Text

from jobs.stores.schema.base import Id, Time, metadata

conversations = Table(
    "conversations",
    metadata,
    Column("number", Id, primary_key=True),
    Column("tenant", String(64), nullable=False),
    Column("user_id", String(100), nullable=False),
    Column("session_id", String(64), nullable=False),
    Column("topic", String(200)),
    Column("message", Text, nullable=False),
    Column("response", Text, nullable=False),
    Column("cut_off", Boolean, nullable=False),  # the client left, or the model broke off, before the end
    Column("model", String(100), nullable=False),
    Column("prompt_tokens", Integer, nullable=False),
    Column("completion_tokens", Integer, nullable=False),
    Column("estimated", Boolean, nullable=False),  # the tokens
    Column("response_time", Float, nullable=False),  # seconds
    Column("created_at", Time(), nullable=False),
    Index(None, "tenant", "user_id", "number"),
    Index(None, "tenant", "user_id", "session_id", "number"),
    sqlite_autoincrement=True,
)

pending_conversations = Table(
    "pending_conversations",
    metadata,
    Column("number", Id, primary_key=True),
    Column("tenant", String(64), nullable=False),
    Column("user_id", String(100), nullable=False),
    Column("session_id", String(64), nullable=False),
    Column("content", Text, nullable=False),  # JSON, as the columns of `conversations`
    Column("accepted_at", BigInteger, nullable=False),  # seconds since 1970
    Index(None, "tenant", "number"),
    Index(None, "tenant", "user_id", "session_id", "number"),
    sqlite_autoincrement=True,
)

user_stats = Table(
    "user_stats",
    metadata,
    Column("tenant", String(64), primary_key=True),
    Column("user_id", String(100), primary_key=True),
    Column("total_conversations", BigInteger, nullable=False),
    Column("total_tokens", BigInteger, nullable=False),
    Column("last_conversation_at", Time()),
    Column("alert", Integer, nullable=False),  # of the soft limit: 0 not reached, 1 reached, 2 the user was told
    Column("day", String(10), nullable=False),  # of the two below, UTC
    Column("day_conversations", BigInteger, nullable=False),  # that a limit was kept for
    Column("day_tokens", BigInteger, nullable=False),  # of these
)

reservations = Table(
    "reservations",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("tenant", String(64), nullable=False),
    Column("user_id", String(100), nullable=False),
    Column("day", String(10), nullable=False),  # that a call under way has taken a conversation off, UTC
    Column("tokens", BigInteger, nullable=False),
    Column(
        "until", BigInteger, nullable=False
    ),  # seconds since 1970 at which the call has ended, whatever became of it
    Index(None, "tenant", "user_id"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("tenant", String(64), primary_key=True),
    Column("user_id", String(100), primary_key=True),
    Column("session_id", String(64), primary_key=True),
    Column("topic", String(200)),  # the newest that was given
    Column("exchanges", BigInteger, nullable=False),
    Column("last_number", BigInteger, nullable=False),  # of its newest conversation
    Column("memorized", BigInteger, nullable=False),  # exchanges that were handed to the user's memory
    Column("analyzed_number", BigInteger, nullable=False),  # up to which conversation; 0: not yet
    Column("claimed_by", String(32)),  # the job that analyzes it
    Column("claimed_until", BigInteger, nullable=False),  # seconds since 1970
    Column("analysis", Text),  # JSON
    Column("analysis_model", String(200)),
    Column("analyzed_at", Time()),
    Index(None, "tenant", "user_id", "last_number"),
)
has_grown = sessions.c.analyzed_number < sessions.c.last_number
Index(
    "ix_sessions_grown",
    sessions.c.tenant,
    sessions.c.last_number,
    sqlite_where=has_grown,
    postgresql_where=has_grown,
)
