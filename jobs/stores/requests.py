"""Requests that came with an `Idempotency-Key`, and how they were answered.

In the database and not in Redis, so that the promise holds with Redis away, and after its loss.
"""

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, delete, select, update

from jobs.stores.database import Database, inserted
from jobs.stores.schema import requests


@dataclass(frozen=True)
class Begun:
    """What a request finds under its key: a `token` if it is to be done; else what the first one was, and its answer.

    `request` stands for address and content, None while an upload is being read; `answer` is JSON, None while the first
    request is under way.
    """

    token: str | None = None
    request: str | None = None
    answer: str | None = None


class RequestStore:
    """The table of keys."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, tenant: str, key: str, request: str | None, *, in_flight: float) -> Begun:
        """Take a key, if nobody has it, or if its request was not heard of for more than `in_flight` seconds."""
        token, now = secrets.token_hex(16), int(time.time())
        row = {"tenant": tenant, "key": key, "request": request, "token": token, "began_at": now}
        is_it = (requests.c.tenant == tenant) & (requests.c.key == key)
        abandoned = is_it & requests.c.answer.is_(None) & (requests.c.began_at < now - in_flight)
        with self._database.write() as connection:
            take_over = update(requests).where(abandoned).values(request=request, token=token, began_at=now)
            if inserted(connection, requests, row) or connection.execute(take_over).rowcount:
                return Begun(token)
            known = connection.execute(select(requests).where(is_it)).one()
            return Begun(request=known.request, answer=known.answer)

    def finish(self, tenant: str, key: str, token: str, request: str, answer: str) -> None:
        """Keep a request's answer, JSON."""
        with self._database.write() as connection:
            mine = update(requests).where(_held(tenant, key, token))
            connection.execute(mine.values(request=request, answer=answer))

    def touch(self, tokens: Sequence[str]) -> None:
        """Say that requests are still under way."""
        with self._database.write() as connection:
            mine = update(requests).where(requests.c.token.in_(tokens), requests.c.answer.is_(None))
            connection.execute(mine.values(began_at=int(time.time())))

    def drop(self, tenant: str, key: str, token: str) -> None:
        """Forget a request: its key is as good as new."""
        with self._database.write() as connection:
            connection.execute(delete(requests).where(_held(tenant, key, token)))

    def purge(self, before: float) -> int:
        """Forget what began before a time, in seconds since 1970; return how much it was."""
        with self._database.write() as connection:
            return connection.execute(delete(requests).where(requests.c.began_at < before)).rowcount


def _held(tenant: str, key: str, token: str) -> ColumnElement[bool]:
    return (requests.c.tenant == tenant) & (requests.c.key == key) & (requests.c.token == token)
