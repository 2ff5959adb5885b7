"""What is kept of one user all over the tables: deleted, some rows at a time."""

from typing import Any, Literal

from sqlalchemy import Column, delete, select

from jobs.stores.database import Database
from jobs.stores.schema import conversations, notifications, research, sessions, users

ROUND = 1000  # rows of one transaction

Kind = Literal["conversations", "sessions", "notifications", "research", "registrations"]
# What tells the rows of each kind apart. Deliveries go with their notifications.
_KEYS: dict[Kind, Column[Any]] = {
    "conversations": conversations.c.number,
    "sessions": sessions.c.last_number,
    "notifications": notifications.c.number,
    "research": research.c.number,
    "registrations": users.c.number,
}


class UserDataStore:
    """The rows of users, whatever table they are in."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def drop_some(self, kind: Kind, tenant: str, user_id: str) -> int:
        """Delete some of a user's rows; return how many, 0 when none are left.

        A row that another transaction is about to move is waited for.
        """
        key = _KEYS[kind]
        columns = key.table.c
        mine = (columns.tenant == tenant) & (columns.user_id == user_id)
        some = select(key).where(mine).limit(ROUND).scalar_subquery()
        with self._database.write() as connection:
            return connection.execute(delete(key.table).where(mine, key.in_(some))).rowcount
