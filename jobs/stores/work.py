"""Work that was accepted: a row for each job that must not be lost, committed before it is enqueued.

Redis holds a job's state; the row holds what it takes to start it again, and how it ended. An attempt claims the row:
that raises its `generation`, and only the attempt of the newest generation can complete it.
"""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Connection, bindparam, case, delete, insert, select, update

from jobs.stores.database import Database, inserted, utc
from jobs.stores.schema import batches, is_untold, work
from jobs.stores.work_rows import (
    CANCELED,
    COMPLETED,
    OPEN,
    AcceptedBatch,
    Claim,
    NewWork,
    Taken,
    Work,
    batch_of,
    row_of,
    work_of,
)

_PURGED = 1000  # rows in one transaction


def _reopened() -> dict[str, Any]:
    """Return the columns of work that is open, once more if it had ended: its fingerprint may be another's by then."""
    unset = dict.fromkeys(("ended_at", "forget_at", "error_code", "error_message"))
    return {"state": OPEN, "fingerprint": case((work.c.state == OPEN, work.c.fingerprint)), **unset}


# Made once: an attempt's row costs more in SQLAlchemy's making of statements than in the database.
_CLAIM = (
    update(work)
    .where(work.c.id == bindparam("claimed_id"))
    .values(generation=work.c.generation + 1, **_reopened())
    .returning(work)
)
_CLAIM_AGAIN = _CLAIM.where(work.c.state != COMPLETED)
_CLAIM_OPEN = _CLAIM.where(work.c.state == OPEN)
_COMPLETE = (
    update(work)
    .where(work.c.id == bindparam("ended_id"), work.c.state != COMPLETED)
    .values(
        state=COMPLETED,
        ended_at=bindparam("ended"),
        forget_at=work.c.keep + bindparam("now", type_=BigInteger),
        result=bindparam("outcome"),
        **dict.fromkeys(("error_code", "error_message")),
    )
)
_COMPLETE_OWN = _COMPLETE.where(work.c.generation == bindparam("own"))


class WorkStore:
    """The tables of work and of batches."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def accept(self, new: NewWork) -> Taken:
        """Keep new work, and return what is the same: itself, unless a fingerprint or its id says otherwise."""
        with self._database.write() as connection:
            return _accept(connection, new)

    def accept_batch(self, batch: AcceptedBatch, jobs: Sequence[NewWork]) -> None:
        """Keep a batch and its jobs, all or none; one whose id is there is left as it is."""
        with self._database.write() as connection:
            row = {name: value for name, value in vars(batch).items() if name != "number"}
            if inserted(connection, batches, row):
                connection.execute(insert(work), [row_of(job) for job in jobs])

    def get(self, tenant: str, work_id: str) -> Work | None:
        """Return a tenant's work, or None if it has none of that id."""
        return self._first(work.c.id == work_id, work.c.tenant == tenant)

    def known(self, tenant: str, ids: Sequence[str]) -> dict[str, Work]:
        """Return those of a tenant's work that there are, by id."""
        found = self._every(work.c.id.in_(ids), work.c.tenant == tenant)
        return {one.id: one for one in found}

    def open(self, *, after: int, before: datetime, limit: int) -> list[Work]:
        """Return open work that was accepted before a time, in its order, from right after a number on."""
        return self._every(work.c.state == OPEN, work.c.number > after, work.c.created_at < before, limit=limit)

    def open_batches(self, before: datetime) -> list[AcceptedBatch]:
        """Return the batches under way that were accepted before a time."""
        query = select(batches).where(batches.c.state == OPEN, batches.c.created_at < before)
        with self._database.read() as connection:
            return [batch_of(row) for row in connection.execute(query.order_by(batches.c.number))]

    def batch(self, tenant: str, batch_id: str) -> AcceptedBatch | None:
        """Return a tenant's batch, or None if it has none of that id."""
        with self._database.read() as connection:
            query = select(batches).where(batches.c.id == batch_id, batches.c.tenant == tenant)
            row = connection.execute(query).first()
        return batch_of(row) if row else None

    def list_batches(self, tenant: str, *, before: int | None, limit: int) -> list[AcceptedBatch]:
        """Return a tenant's batches, newest first, from right before a number on."""
        query = select(batches).where(batches.c.tenant == tenant)
        if before is not None:
            query = query.where(batches.c.number < before)
        with self._database.read() as connection:
            return [batch_of(row) for row in connection.execute(query.order_by(batches.c.number.desc()).limit(limit))]

    def of_batch(self, batch_id: str) -> list[Work]:
        """Return a batch's work, in its order."""
        return self._every(work.c.batch_id == batch_id)

    def claim(self, work_id: str, *, again: bool) -> Claim | None:
        """Let an attempt begin: return its generation, or how the work has ended if it is not to run any more.

        Completed work never runs again; work that ended otherwise does, if somebody has started it `again`. Returns
        None if there is no such work.
        """
        claimed = _CLAIM_AGAIN if again else _CLAIM_OPEN
        with self._database.write() as connection:
            row = connection.execute(claimed, {"claimed_id": work_id}).first()
            if row is not None:
                return Claim(row.generation, work_of(row))
            row = connection.execute(select(work).where(work.c.id == work_id)).first()
            return Claim(None, work_of(row)) if row else None

    def reopen(self, work_id: str) -> None:
        """Let work that has ended begin again."""
        with self._database.write() as connection:
            connection.execute(update(work).where(work.c.id == work_id).values(**_reopened()))

    def complete(self, work_id: str, generation: int | None, result: str) -> bool:
        """Record what work came to; `result` is JSON. Returns False if an attempt newer than `generation` has claimed
        it; with None, any may have."""
        values = {"ended_id": work_id, "ended": datetime.now(UTC), "now": int(time.time()), "outcome": result}
        with self._database.write() as connection:
            if generation is None:
                return connection.execute(_COMPLETE, values).rowcount > 0
            return connection.execute(_COMPLETE_OWN, values | {"own": generation}).rowcount > 0

    def end(self, work_id: str, state: str, code: str, message: str, *, generation: int | None = None) -> bool:
        """Record that open work has failed or was canceled; with a `generation`, only if that is the newest."""
        newest = () if generation is None else (work.c.generation == generation,)
        ended = update(work).where(work.c.id == work_id, work.c.state == OPEN, *newest)
        values, until = {"state": state, "error_code": code, "error_message": message}, work.c.keep + int(time.time())
        with self._database.write() as connection:
            ended = ended.values(ended_at=datetime.now(UTC), forget_at=until, **values)
            return connection.execute(ended).rowcount > 0

    def add_webhook(self, tenant: str, work_id: str, add: Callable[[str], str | None]) -> None:
        """Have one more webhook told of work; `add` returns the content with it, None if it has it."""
        mine = (work.c.id == work_id) & (work.c.tenant == tenant)
        with self._database.write() as connection:
            known = connection.execute(select(work.c.content).where(mine).with_for_update()).scalar()
            if known is not None and (content := add(known)) is not None:
                values = {"content": content, "webhooks": work.c.webhooks + 1, "told": -1}
                connection.execute(update(work).where(mine).values(**values))

    def untold(self, *, after: int, before: datetime, limit: int) -> list[Work]:
        """Return work that ended before a time and of whose end not all webhooks are known to have been told."""
        ended = (work.c.state != OPEN, work.c.ended_at < before)
        return self._every(is_untold, *ended, work.c.number > after, limit=limit)

    def mark_told(self, work_id: str, generation: int) -> None:
        """Note that every webhook has been told of the end of a generation, or given up."""
        with self._database.write() as connection:
            told = update(work).where(work.c.id == work_id, work.c.generation == generation)
            connection.execute(told.values(told=generation))

    def end_batch(self, batch_id: str, keep: int) -> None:
        """Record that all jobs of a batch have ended."""
        with self._database.write() as connection:
            ended = update(batches).where(batches.c.id == batch_id, batches.c.state == OPEN)
            connection.execute(ended.values(state="ended", forget_at=int(time.time()) + keep))

    def cancel_batch(self, batch_id: str, code: str, message: str, *, callback_id: str) -> None:
        """Record that what is open of a batch was canceled; the job that follows it was not."""
        members = update(work).where(work.c.batch_id == batch_id, work.c.id != callback_id, work.c.state == OPEN)
        values, until = {"state": CANCELED, "error_code": code, "error_message": message}, int(time.time())
        with self._database.write() as connection:
            connection.execute(members.values(ended_at=datetime.now(UTC), forget_at=work.c.keep + until, **values))

    def delete(self, tenant: str, work_id: str) -> None:
        """Forget work."""
        with self._database.write() as connection:
            connection.execute(delete(work).where(work.c.id == work_id, work.c.tenant == tenant))

    def delete_batch(self, batch_id: str) -> None:
        """Forget a batch with its jobs."""
        with self._database.write() as connection:
            connection.execute(delete(work).where(work.c.batch_id == batch_id))
            connection.execute(delete(batches).where(batches.c.id == batch_id))

    def purge(self, now: float) -> int:
        """Forget what ended long ago; `now` is in seconds since 1970. Returns how much it was."""
        return sum(self._purge(table, now) for table in (work, batches))

    def _purge(self, table: Any, now: float) -> int:
        gone = 0
        while True:
            old = select(table.c.number).where(table.c.forget_at < now).limit(_PURGED)
            with self._database.write() as connection:
                count = connection.execute(delete(table).where(table.c.number.in_(old))).rowcount
            gone += count
            if count < _PURGED:
                return gone

    def _first(self, *conditions: Any) -> Work | None:
        found = self._every(*conditions, limit=1)
        return found[0] if found else None

    def _every(self, *conditions: Any, limit: int | None = None) -> list[Work]:
        query = select(work).where(*conditions).order_by(work.c.number).limit(limit)
        with self._database.read() as connection:
            return [work_of(row) for row in connection.execute(query)]


def _accept(connection: Connection, new: NewWork) -> Taken:
    if new.fingerprint and new.fresh:
        equal = (work.c.tenant == new.tenant, work.c.fingerprint == new.fingerprint, work.c.state == OPEN)
        connection.execute(update(work).where(*equal, work.c.id != new.id).values(fingerprint=None))
    elif new.fingerprint and (same := _reusable(connection, new)):
        return same
    if inserted(connection, work, row_of(new)):
        return Taken(new.id, OPEN, is_new=True)
    there = connection.execute(select(work.c.id, work.c.state).where(_is_the_same(new))).first()
    return Taken(str(there.id), str(there.state)) if there else _accept(connection, new)  # it has ended between the two


def _is_the_same(new: NewWork) -> ColumnElement[bool]:
    """Which work an insert gave way to: that of the id, or open work of the fingerprint."""
    equal = (work.c.tenant == new.tenant) & (work.c.fingerprint == new.fingerprint) & (work.c.state == OPEN)
    return (work.c.id == new.id) | equal if new.fingerprint else work.c.id == new.id


def _reusable(connection: Connection, new: NewWork) -> Taken | None:
    """Return the tenant's newest work of that fingerprint, if it is open, or completed and still fresh."""
    query = select(work.c.id, work.c.state, work.c.ended_at).where(
        work.c.tenant == new.tenant, work.c.fingerprint == new.fingerprint
    )
    newest = connection.execute(query.order_by(work.c.number.desc()).limit(1)).first()
    if newest is None:
        return None
    ended_at = utc(newest.ended_at)
    fresh = (
        new.reuse_seconds > 0  # without it never: by a clock ahead of ours the end is yet to come
        and ended_at is not None
        and (datetime.now(UTC) - ended_at).total_seconds() <= new.reuse_seconds
    )
    usable = newest.state == OPEN or (newest.state == COMPLETED and fresh)
    return Taken(str(newest.id), str(newest.state)) if usable else None
