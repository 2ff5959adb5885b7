"""Users of a tenant: where they are reached, in which language, and what they want to be told."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar, cast

from sqlalchemy import Row, select, update

from jobs.domain.notifications import Language, Preferences
from jobs.stores.database import Database, inserted, utc
from jobs.stores.schema import users


class UserNotFound(Exception):
    """There is no such user."""

    code: ClassVar[str] = "user_not_found"

    def __init__(self) -> None:
        super().__init__(type(self).__doc__)


class UserExists(Exception):
    """Another user has this id or this address."""

    code: ClassVar[str] = "user_exists"

    def __init__(self) -> None:
        super().__init__(type(self).__doc__)


@dataclass(frozen=True)
class User:
    """A user. `number` is the order of registration."""

    number: int
    tenant: str
    user_id: str
    email: str | None
    phone: str | None
    name: str | None
    language: Language
    preferences: Preferences
    created_at: datetime


class UserStore:
    """The table of users."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def register(
        self, tenant: str, user_id: str, email: str | None, *, phone: str | None, name: str | None, language: str
    ) -> tuple[User, bool]:
        """Keep a new user, or return the one who is the same; and whether it is a new one.

        Raises:
            UserExists: another user has this id or this address.
        """
        row = {"tenant": tenant, "user_id": user_id, "email": email, "phone": phone, "name": name}
        row |= {"language": language, "preferences": Preferences().model_dump_json()}
        with self._database.write() as connection:
            new = inserted(connection, users, row | {"created_at": datetime.now(UTC)})
        user = self.find(tenant, user_id)
        if user is None or (not new and user.email != email):
            raise UserExists
        return user, new

    def find(self, tenant: str, user_id: str) -> User | None:
        """Return a tenant's user, or None if there is none of that id."""
        return self._one(users.c.tenant == tenant, users.c.user_id == user_id)

    def find_by_email(self, tenant: str, email: str) -> User | None:
        """Return a tenant's user, or None if nobody has that address."""
        return self._one(users.c.tenant == tenant, users.c.email == email)

    def preferences(self, tenant: str, user_id: str) -> Preferences:
        """Return what a user wants to be told; everything, if nothing was said."""
        user = self.find(tenant, user_id)
        return user.preferences if user else Preferences()

    def set_preferences(self, tenant: str, user_id: str, preferences: Preferences, language: Language | None) -> User:
        """Keep what a user wants to be told, in which language; also of one who has not registered."""
        content = {"preferences": preferences.model_dump_json()}
        row = {"tenant": tenant, "user_id": user_id, "language": language or "zh", **content}
        with self._database.write() as connection:
            if not inserted(connection, users, row | {"created_at": datetime.now(UTC)}):
                changed = update(users).where(users.c.tenant == tenant, users.c.user_id == user_id)
                connection.execute(changed.values(**content, **({"language": language} if language else {})))
        return cast(User, self.find(tenant, user_id))

    def _one(self, *conditions: Any) -> User | None:
        with self._database.read() as connection:
            row = connection.execute(select(users).where(*conditions)).first()
        return _user(row) if row else None


def _user(row: Row[Any]) -> User:
    preferences = Preferences.model_validate_json(row.preferences)
    return User(**{**row._mapping, "preferences": preferences, "created_at": utc(row.created_at)})
