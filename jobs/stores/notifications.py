"""Notifications: what was to be sent, to whom, by which channel, and what became of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from sqlalchemy import Connection, Row, delete, func, insert, or_, select, update

from jobs.domain.notifications import Plan
from jobs.stores.database import Database, inserted, take_turns, utc
from jobs.stores.schema import deliveries, notifications

QUEUED, SENT, FAILED, UNKNOWN, SKIPPED = "queued", "sent", "failed", "unknown", "skipped"
_HOUR = timedelta(hours=1)
_PURGED = 500


class NotificationNotFound(Exception):
    """There is no such notification."""

    code: ClassVar[str] = "notification_not_found"

    def __init__(self) -> None:
        super().__init__(type(self).__doc__)


@dataclass(frozen=True)
class Delivery:
    """A notification on one channel. `state` is queued, sent, failed, unknown or skipped; `reason` says why, if there
    is something to say. Its `id` is that of the job that sends it. `due_at` is in seconds since 1970."""

    id: str
    tenant: str
    user_id: str
    event_type: str | None
    channel: str
    recipient: str
    subject: str
    text: str
    html: str | None
    language: str
    state: str
    reason: str | None
    message: str | None
    provider: str | None
    provider_id: str | None
    due_at: int | None
    digest_id: str | None
    digest: int
    created_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True)
class Notification:
    """A notification with its deliveries."""

    number: int
    id: str
    tenant: str
    user_id: str
    event_type: str | None
    created_at: datetime
    deliveries: list[Delivery]


class NotificationStore:
    """The tables of notifications and deliveries."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self,
        tenant: str,
        notification_id: str,
        user_id: str,
        event_type: str | None,
        language: str,
        plans: Sequence[tuple[str, Plan]],
        *,
        hourly_limit: int = 0,
    ) -> Notification:
        """Keep a notification with its deliveries, all or none; one whose id is there is left as it is.

        `plans` has a delivery's id and its plan each. A delivery above `hourly_limit` of the user's on that channel is
        skipped as `throttled`; one of a digest's kind joins the one that waits, or has others join itself.
        """
        now = datetime.now(UTC)
        row = {"id": notification_id, "tenant": tenant, "user_id": user_id, "event_type": event_type}
        with self._database.write() as connection:
            if inserted(connection, notifications, row | {"created_at": now}):
                take_turns(connection, f"notifications to {user_id} of {tenant}")
                number = _number(connection, notification_id)
                common = row | {"notification": number, "language": language, "created_at": now}
                del common["id"]
                for delivery_id, plan in plans:
                    limit = hourly_limit if plan.reason is None else 0
                    values = _row(connection, delivery_id, plan, common, limit)
                    connection.execute(insert(deliveries).values(values))
        return self.get(tenant, notification_id)

    def get(self, tenant: str, notification_id: str) -> Notification:
        """Return a tenant's notification. Raises NotificationNotFound."""
        is_it = (notifications.c.tenant == tenant) & (notifications.c.id == notification_id)
        with self._database.read() as connection:
            row = connection.execute(select(notifications).where(is_it)).first()
            if row is None:
                raise NotificationNotFound
            return _with_deliveries(connection, [row])[0]

    def page(
        self,
        tenant: str,
        *,
        user_id: str | None = None,
        state: str | None = None,
        event_type: str | None = None,
        before: int | None = None,
        limit: int = 20,
    ) -> list[Notification]:
        """Return a tenant's notifications, newest first, from right before a number on; with `state`, those of which a
        delivery is in it."""
        query = select(notifications).where(notifications.c.tenant == tenant)
        if user_id is not None:
            query = query.where(notifications.c.user_id == user_id)
        if event_type is not None:
            query = query.where(notifications.c.event_type == event_type)
        if before is not None:
            query = query.where(notifications.c.number < before)
        if state is not None:
            of_it = select(deliveries.c.id).where(
                deliveries.c.notification == notifications.c.number, deliveries.c.state == state
            )
            query = query.where(of_it.exists())
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(notifications.c.number.desc()).limit(limit)).all()
            return _with_deliveries(connection, rows)

    def delivery(self, tenant: str, delivery_id: str) -> Delivery | None:
        """Return a tenant's delivery, or None without one."""
        with self._database.read() as connection:
            is_it = (deliveries.c.id == delivery_id) & (deliveries.c.tenant == tenant)
            row = connection.execute(select(deliveries).where(is_it)).first()
        return _delivery(row) if row else None

    def digest(self, delivery_id: str) -> list[Delivery]:
        """Return what goes out with a delivery, itself first, in the order of their creation."""
        which = or_(deliveries.c.id == delivery_id, deliveries.c.digest_id == delivery_id)
        query = select(deliveries).where(which).order_by(deliveries.c.notification, deliveries.c.id)
        with self._database.read() as connection:
            return [_delivery(row) for row in connection.execute(query)]

    def settle(self, delivery_id: str, state: str, **values: Any) -> None:
        """Record what became of a delivery, and of those that go with it. What is sent stays sent."""
        which = or_(deliveries.c.id == delivery_id, deliveries.c.digest_id == delivery_id)
        with self._database.write() as connection:
            settled = update(deliveries).where(which, deliveries.c.state.in_((QUEUED, UNKNOWN, FAILED)))
            connection.execute(settled.values(state=state, ended_at=datetime.now(UTC), **values))

    def waiting(self, older_than: float) -> list[Delivery]:
        """Return queued deliveries of all tenants that have waited for so many seconds."""
        before = datetime.now(UTC) - timedelta(seconds=older_than)
        which = (deliveries.c.state == QUEUED) & (deliveries.c.created_at < before) & deliveries.c.digest_id.is_(None)
        with self._database.read() as connection:
            return [_delivery(row) for row in connection.execute(select(deliveries).where(which).limit(1000))]

    def purge(self, older_than: float) -> int:
        """Forget notifications that are so many seconds old; return how many."""
        before, gone = datetime.now(UTC) - timedelta(seconds=older_than), 0
        while True:
            old = select(notifications.c.number).where(notifications.c.created_at < before).limit(_PURGED)
            with self._database.write() as connection:
                count = connection.execute(delete(notifications).where(notifications.c.number.in_(old))).rowcount
            gone += count
            if count < _PURGED:
                return gone


def _row(
    connection: Connection, delivery_id: str, plan: Plan, common: Mapping[str, Any], hourly_limit: int
) -> dict[str, Any]:
    skip, digest_id, due, digest = plan.skip, None, int(plan.due.timestamp()) if plan.due else None, 0
    reason = plan.reason
    if skip is None and plan.digest_seconds:
        digest_id = _open_digest(connection, plan, common)
        digest = int(digest_id is None)
        reason = "digest"
        due = due or int(common["created_at"].timestamp()) + plan.digest_seconds
    elif skip is None and hourly_limit and _sent_last_hour(connection, plan, common) >= hourly_limit:
        skip = reason = "throttled"
    state: dict[str, Any] = {"state": SKIPPED, "ended_at": common["created_at"]} if skip else {"state": QUEUED}
    texts = {"subject": plan.text.subject, "text": plan.text.text, "html": plan.text.html}
    where = {"channel": plan.channel, "recipient": plan.recipient, "due_at": None if skip else due}
    group = {"digest_id": digest_id, "digest": digest, "reason": reason}
    return {**common, "id": delivery_id, **texts, **where, **group, **state}


def _open_digest(connection: Connection, plan: Plan, common: Mapping[str, Any]) -> str | None:
    """Return the delivery that others of its kind may still go with."""
    same = (
        (deliveries.c.tenant == common["tenant"])
        & (deliveries.c.user_id == common["user_id"])
        & (deliveries.c.channel == plan.channel)
        & (deliveries.c.event_type == common["event_type"])
        & (deliveries.c.recipient == plan.recipient)
    )
    is_open = (deliveries.c.digest == 1) & (deliveries.c.state == QUEUED)
    still = deliveries.c.due_at > int(common["created_at"].timestamp())
    found = connection.execute(select(deliveries.c.id).where(same, is_open, still).with_for_update()).first()
    return str(found.id) if found else None


def _sent_last_hour(connection: Connection, plan: Plan, common: Mapping[str, Any]) -> int:
    count = select(func.count()).where(
        deliveries.c.tenant == common["tenant"],
        deliveries.c.user_id == common["user_id"],
        deliveries.c.channel == plan.channel,
        deliveries.c.created_at > common["created_at"] - _HOUR,
        deliveries.c.state != SKIPPED,
    )
    sent: int = connection.execute(count).scalar_one()
    return sent


def _number(connection: Connection, notification_id: str) -> int:
    query = select(notifications.c.number).where(notifications.c.id == notification_id)
    number: int = connection.execute(query).scalar_one()
    return number


def _with_deliveries(connection: Connection, rows: Sequence[Row[Any]]) -> list[Notification]:
    found: dict[int, list[Delivery]] = {row.number: [] for row in rows}
    query = select(deliveries).where(deliveries.c.notification.in_(list(found))).order_by(deliveries.c.id)
    for row in connection.execute(query):
        found[row.notification].append(_delivery(row))
    return [
        Notification(**{**row._mapping, "created_at": utc(row.created_at), "deliveries": found[row.number]})
        for row in rows
    ]


def _delivery(row: Row[Any]) -> Delivery:
    fields = {name: value for name, value in row._mapping.items() if name != "notification"}
    return Delivery(**{**fields, "created_at": utc(row.created_at), "ended_at": utc(row.ended_at)})
