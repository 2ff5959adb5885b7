"""What was accepted: a row for each job that must not be lost, for each batch, and for each `Idempotency-Key`."""

from sqlalchemy import BigInteger, Column, Index, Integer, String, Table, Text

from jobs.stores.schema.base import Id, Time, metadata

work = Table(
    "work",
    metadata,
    Column("number", Id, primary_key=True),  # in the order of acceptance: a job comes after those that it depends on
    Column("id", String(64), nullable=False, unique=True),  # the job's
    Column("tenant", String(64), nullable=False),
    Column("type", String(200), nullable=False),
    Column("batch_id", String(64)),
    Column("content", Text, nullable=False),  # JSON: all that is needed to enqueue it again
    Column("fingerprint", String(64)),
    Column("state", String(20), nullable=False),  # open, completed, failed, canceled
    Column("generation", Integer, nullable=False),  # attempts that have claimed it
    Column("keep", Integer, nullable=False),  # seconds, after its end
    Column("result", Text),  # JSON
    Column("error_code", String(64)),
    Column("error_message", Text),
    Column("created_at", Time(), nullable=False),
    Column("ended_at", Time()),
    Column("forget_at", BigInteger),  # seconds since 1970
    Column("webhooks", Integer, nullable=False, server_default="0"),  # how many are told of its end
    Column("told", Integer, nullable=False, server_default="-1"),  # the generation whose end they have been told of
    sqlite_autoincrement=True,
)

is_open = work.c.state == "open"
Index("ix_work_open", work.c.number, sqlite_where=is_open, postgresql_where=is_open)
Index(
    "uq_work_fingerprint",
    work.c.tenant,
    work.c.fingerprint,
    unique=True,
    sqlite_where=is_open,
    postgresql_where=is_open,
)
Index("ix_work_fingerprint", work.c.tenant, work.c.fingerprint, work.c.number)
is_untold = (work.c.webhooks > 0) & (work.c.told != work.c.generation)
Index("ix_work_untold", work.c.number, sqlite_where=is_untold, postgresql_where=is_untold)
Index("ix_work_batch", work.c.batch_id)
Index("ix_work_forget_at", work.c.forget_at)

batches = Table(
    "batches",
    metadata,
    Column("number", Id, primary_key=True),
    Column("id", String(64), nullable=False, unique=True),
    Column("tenant", String(64), nullable=False),
    Column("name", String(200), nullable=False),
    Column("total", Integer, nullable=False),
    Column("callback_id", String(64)),  # the job that follows all of them; its row is among theirs
    Column("state", String(20), nullable=False),  # open, ended
    Column("created_at", Time(), nullable=False),
    Column("forget_at", BigInteger),
    Index(None, "tenant", "number"),
    Index(None, "forget_at"),
    sqlite_autoincrement=True,
)

requests = Table(
    "requests",
    metadata,
    Column("tenant", String(64), primary_key=True),
    Column("key", String(64), primary_key=True),  # SHA-256 of the `Idempotency-Key`
    Column("request", String(64)),  # SHA-256 of address and content; None until an upload has been read
    Column("answer", Text),  # JSON; None while the first request is under way
    Column("token", String(32), nullable=False),  # of the request that is at it
    Column("began_at", BigInteger, nullable=False),  # seconds since 1970
    Index(None, "began_at"),
)
