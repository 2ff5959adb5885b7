"""The ledger of effects: a mail, a message, a call to a webhook, a count; each under a key that no attempt changes.

It is written before and after. So an effect that is done is not done again; one that was cut off in the middle is seen
as such, and not repeated silently.
"""

import secrets
import time
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, delete, select, update

from jobs.stores.database import Database, inserted
from jobs.stores.schema import effects

STARTED, DONE, FAILED, UNKNOWN = "started", "done", "failed", "unknown"
CutOff = Literal["unknown", "again"]


@dataclass(frozen=True)
class Effect:
    """An effect as an attempt finds it: with a `token`, it is this attempt's to bring about. `result` is JSON."""

    state: str
    token: str | None = None
    result: str | None = None
    attempts: int = 1


class EffectStore:
    """The table of effects. Nothing in it is a tenant's address or text: keys are made of ids."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, tenant: str, key: str, *, channel: str, job_id: str | None, cut_off: CutOff = "unknown") -> Effect:
        """Write down that an effect is about to be brought about, unless it has been.

        One that another attempt has begun and not ended was cut off: by `cut_off` it becomes `unknown`, or is begun
        again. What has failed is begun again; what is unknown stays so.
        """
        token, now = secrets.token_hex(16), int(time.time())
        row: dict[str, Any] = {"tenant": tenant, "key": key, "channel": channel, "job_id": job_id, "state": STARTED}
        row |= {"token": token, "attempts": 1, "started_at": now}
        again = (FAILED,) if cut_off == "unknown" else (FAILED, STARTED, UNKNOWN)
        with self._database.write() as connection:
            if inserted(connection, effects, row):
                return Effect(STARTED, token)
            begun = update(effects).where(_is(tenant, key), effects.c.state.in_(again))
            anew = {"state": STARTED, "token": token, "job_id": job_id, "ended_at": None, "error_code": None}
            if connection.execute(begun.values(attempts=effects.c.attempts + 1, **anew)).rowcount:
                return Effect(STARTED, token)
            lost = update(effects).where(_is(tenant, key), effects.c.state == STARTED)
            connection.execute(lost.values(state=UNKNOWN, ended_at=now))
            return _read(connection, tenant, key)

    def finish(
        self, tenant: str, key: str, token: str, state: str, *, result: str | None = None, error_code: str | None = None
    ) -> None:
        """Write down how an effect came out. Said by the attempt that brought it about, whoever wondered meanwhile."""
        mine = update(effects).where(_is(tenant, key), effects.c.token == token)
        values: dict[str, Any] = {"state": state, "result": result, "error_code": error_code}
        with self._database.write() as connection:
            connection.execute(mine.values(ended_at=int(time.time()), **values))

    def get(self, tenant: str, key: str) -> Effect | None:
        """Return an effect, or None if it was never begun."""
        with self._database.read() as connection:
            row = connection.execute(select(effects).where(_is(tenant, key))).first()
        return Effect(row.state, None, row.result, row.attempts) if row else None

    def once(self, connection: Connection, tenant: str, key: str, channel: str) -> bool:
        """Write down, in the caller's transaction, an effect of that transaction; False if it has been already."""
        now = int(time.time())
        row = {"tenant": tenant, "key": key, "channel": channel, "state": DONE, "token": "", "attempts": 1}
        return inserted(connection, effects, {**row, "started_at": now, "ended_at": now})

    def purge(self, before: float) -> int:
        """Forget what began before a time, in seconds since 1970; return how much it was."""
        with self._database.write() as connection:
            return connection.execute(delete(effects).where(effects.c.started_at < before)).rowcount


def _is(tenant: str, key: str) -> ColumnElement[bool]:
    return (effects.c.tenant == tenant) & (effects.c.key == key)


def _read(connection: Connection, tenant: str, key: str) -> Effect:
    row = connection.execute(select(effects).where(_is(tenant, key))).one()
    return Effect(row.state, None, row.result, row.attempts)
