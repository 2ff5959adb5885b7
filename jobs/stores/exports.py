"""Exports: which files hold a user's data, for how long, and who may fetch them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from sqlalchemy import ColumnElement, Row, delete, exists, select, update

from jobs.domain.exports import Format
from jobs.stores.database import Database, inserted, utc
from jobs.stores.schema import exports, work

PROCESSING, COMPLETED, FAILED = "processing", "completed", "failed"
_SOME = 100


class ExportNotFound(Exception):
    """There is no such export, or its time is over."""

    code: ClassVar[str] = "export_not_found"

    def __init__(self) -> None:
        super().__init__(type(self).__doc__)


class ExportNotReady(Exception):
    """The export has not been written yet, or could not be."""

    code: ClassVar[str] = "export_not_ready"

    def __init__(self, status: str) -> None:
        super().__init__(f"The export is {status}.")


@dataclass(frozen=True)
class Export:
    """An export, by the id of the job that writes it. `size` is in bytes; `records` says how many of each kind."""

    id: str
    tenant: str
    user_id: str
    format: Format
    status: str
    blob: str | None
    size: int | None
    records: Mapping[str, int]
    error_code: str | None
    created_at: datetime
    completed_at: datetime | None


class ExportStore:
    """The table of exports."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, tenant: str, export_id: str, user_id: str, form: Format) -> Export:
        """Keep a new export, or return the one of that id."""
        row = {"id": export_id, "tenant": tenant, "user_id": user_id, "format": form, "status": PROCESSING}
        with self._database.write() as connection:
            inserted(connection, exports, row | {"created_at": datetime.now(UTC)})
        return self.get(tenant, export_id)

    def get(self, tenant: str, export_id: str) -> Export:
        """Return a tenant's export.

        Raises:
            ExportNotFound: there is none of that id.
        """
        found = self.find(tenant, export_id)
        if found is None:
            raise ExportNotFound
        return found

    def find(self, tenant: str, export_id: str) -> Export | None:
        """Return a tenant's export, or None if there is none of that id."""
        return next(iter(self._some(_is(tenant, export_id))), None)

    def finished(self, tenant: str, export_id: str) -> tuple[Export, str]:
        """Return a tenant's export that has been written, and the name of its file.

        Raises:
            ExportNotFound: there is none of that id.
            ExportNotReady: it has not been written.
        """
        export = self.get(tenant, export_id)
        if export.blob is None:
            raise ExportNotReady(export.status)
        return export, export.blob

    def complete(self, tenant: str, export_id: str, blob: str, size: int, records: Mapping[str, int]) -> bool:
        """Record the file of an export; False, and nothing, if it has one, or was deleted."""
        open_one = update(exports).where(_is(tenant, export_id), exports.c.status != COMPLETED)
        values = {"status": COMPLETED, "blob": blob, "size": size, "records": json.dumps(records), "error_code": None}
        with self._database.write() as connection:
            return bool(connection.execute(open_one.values(**values, completed_at=datetime.now(UTC))).rowcount)

    def fail(self, tenant: str, export_id: str, code: str) -> None:
        """Record that an export could not be written."""
        open_one = update(exports).where(_is(tenant, export_id), exports.c.status == PROCESSING)
        with self._database.write() as connection:
            connection.execute(open_one.values(status=FAILED, error_code=code))

    def without_job(self, older_than: float) -> list[Export]:
        """Return exports of all tenants that wait for so many seconds and have no job: whoever asked died before."""
        has_job = exists().where(work.c.id == exports.c.id)
        return self._some((exports.c.status == PROCESSING) & (exports.c.created_at < _ago(older_than)) & ~has_job)

    def expired(self, seconds: float) -> list[Export]:
        """Return some exports of all tenants that are older than so many seconds."""
        return self._some(exports.c.created_at < _ago(seconds))

    def of_user(self, tenant: str, user_id: str) -> list[Export]:
        """Return some exports of a user."""
        return self._some((exports.c.tenant == tenant) & (exports.c.user_id == user_id))

    def delete(self, tenant: str, export_id: str) -> None:
        """Forget an export. Its file is the caller's to delete, first."""
        with self._database.write() as connection:
            connection.execute(delete(exports).where(_is(tenant, export_id)))

    def named_blobs(self, names: Sequence[str]) -> set[str]:
        """Return which of these files some export names."""
        with self._database.read() as connection:
            return set(connection.execute(select(exports.c.blob).where(exports.c.blob.in_(names))).scalars())

    def _some(self, which: ColumnElement[bool]) -> list[Export]:
        query = select(exports).where(which).order_by(exports.c.number).limit(_SOME)
        with self._database.read() as connection:
            return [_export(row) for row in connection.execute(query)]


def _is(tenant: str, export_id: str) -> ColumnElement[bool]:
    return (exports.c.tenant == tenant) & (exports.c.id == export_id)


def _ago(seconds: float) -> datetime:
    return datetime.now(UTC) - timedelta(seconds=seconds)


def _export(row: Row[Any]) -> Export:
    known = dict(row._mapping)
    del known["number"]
    times = {name: utc(known[name]) for name in ("created_at", "completed_at")}
    return Export(**{**known, **times, "records": json.loads(row.records or "{}")})
