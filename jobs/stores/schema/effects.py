"""The ledger of effects: what has happened outside, or was counted, under a key that no attempt changes."""

from sqlalchemy import BigInteger, Column, Index, Integer, String, Table, Text

from jobs.stores.schema.base import metadata

effects = Table(
    "effects",
    metadata,
    Column("tenant", String(64), primary_key=True),
    Column("key", String(200), primary_key=True),
    Column("channel", String(40), nullable=False),
    Column("job_id", String(64)),
    Column("state", String(20), nullable=False),  # started, done, failed, unknown
    Column("token", String(32), nullable=False),  # of the attempt that is at it
    Column("attempts", Integer, nullable=False),
    Column("result", Text),  # JSON
    Column("error_code", String(64)),
    Column("started_at", BigInteger, nullable=False),  # seconds since 1970
    Column("ended_at", BigInteger),
    Index(None, "started_at"),
)
