"""Canvases: their files, with a version for each change.

A change reads, splices and writes in one transaction that locks the canvas, so of many writers at once none loses what
another one wrote. A version is the whole file, compressed: to go back is to write an old one once more.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

from sqlalchemy import Connection, delete, func, select, update

from jobs.domain.canvas.errors import (
    CanvasNotFound,
    CanvasTooLarge,
    PreconditionFailed,
    TooManyCanvases,
    VersionNotFound,
)
from jobs.domain.canvas.file import CanvasFile, Edit
from jobs.domain.json_size import is_crowded
from jobs.stores.canvas_rows import (
    Canvas,
    CanvasInfo,
    Locked,
    add_version,
    canvas_of,
    etag_of,
    info_of,
    is_newest,
    lock,
    lock_existing,
    named,
    read_version,
    with_versions,
)
from jobs.stores.database import Database, inserted, take_turns
from jobs.stores.schema import canvas_versions, canvases

# What a change wants of the ETag that the canvas has; None, if there is no canvas.
OnlyIf = Callable[[str | None], bool]


@dataclass(frozen=True)
class Written:
    """What a change has come to; `item` is the node or edge that was added or changed, as it is written."""

    version: int
    etag: str
    created: bool
    item: str = ""


def _always(_etag: str | None) -> bool:
    return True


class CanvasStore:
    """The tables of canvases. A tenant may have `limit` of them, of `max_bytes` each.

    Deleted ones are kept to be restored, as long as there is room for new ones beside them.
    """

    def __init__(self, database: Database, *, limit: int, max_bytes: int) -> None:
        self._database = database
        self._limit = limit
        self._max_bytes = max_bytes

    def get(self, tenant: str, name: str, version: int | None = None) -> Canvas:
        """Return a canvas, or an old version of it, also of a deleted one.

        Raises:
            CanvasNotFound: the tenant has none of that name.
            VersionNotFound: it has no such version, or no longer.
        """
        wanted = is_newest if version is None else canvas_versions.c.version == version
        query = with_versions(canvas_versions.c.content).where(*named(tenant, name), wanted)
        with self._database.read() as connection:
            row = connection.execute(query).first()
            if row is None and version is not None and _is_known(connection, tenant, name):
                raise VersionNotFound
        if row is None or (version is None and row.deleted_at):
            raise CanvasNotFound
        return canvas_of(row)

    def list(
        self, tenant: str, *, deleted: bool = False, before: int | None = None, limit: int = 20
    ) -> "list[CanvasInfo]":
        """Return a tenant's canvases, newest first, from the number `before` on; or those that were deleted."""
        gone = canvases.c.deleted_at
        query = with_versions().where(canvases.c.tenant == tenant, is_newest)
        query = query.where(gone.is_not(None) if deleted else gone.is_(None))
        if before is not None:
            query = query.where(canvases.c.number < before)
        with self._database.read() as connection:
            return list(map(info_of, connection.execute(query.order_by(canvases.c.number.desc()).limit(limit))))

    def versions(self, tenant: str, name: str, *, before: int | None = None, limit: int = 20) -> Sequence[CanvasInfo]:
        """Return what is kept of a canvas, newest first, from the version `before` on; also of a deleted one.

        Raises:
            CanvasNotFound: the tenant has none of that name.
        """
        query = with_versions().where(*named(tenant, name))
        if before is not None:
            query = query.where(canvas_versions.c.version < before)
        with self._database.read() as connection:
            if not _is_known(connection, tenant, name):
                raise CanvasNotFound
            return list(map(info_of, connection.execute(query.order_by(canvas_versions.c.version.desc()).limit(limit))))

    def put(self, tenant: str, name: str, file: CanvasFile, only_if: OnlyIf = _always) -> Written:
        """Write a canvas as a whole; equal content makes no new version.

        Raises:
            CanvasTooLarge, TooManyCanvases
            PreconditionFailed: `only_if` does not hold.
        """
        with self._database.write() as connection:
            there = lock(connection, tenant, name)
            if there is None:
                _require(only_if, None)
                self._insert(connection, tenant, name)
                there = cast(Locked, lock(connection, tenant, name))  # another request may have been quicker
            _require(only_if, there.etag)
            return self._write(connection, there, file.whole())

    def change(self, tenant: str, name: str, edit: Callable[[CanvasFile], Edit], only_if: OnlyIf = _always) -> Written:
        """Make a change to a canvas.

        Raises:
            CanvasNotFound, CanvasTooLarge
            PreconditionFailed: `only_if` does not hold.
            CanvasError: what `edit` raises; nothing is changed then.
        """
        with self._database.write() as connection:
            there = lock_existing(connection, tenant, name)
            _require(only_if, there.etag)
            return self._write(connection, there, edit(CanvasFile(read_version(connection, there, there.version))))

    def restore(self, tenant: str, name: str, version: int, only_if: OnlyIf = _always) -> Written:
        """Make an old version the newest one, also of a deleted canvas.

        Raises:
            CanvasNotFound, VersionNotFound
            PreconditionFailed: `only_if` does not hold.
        """
        with self._database.write() as connection:
            there = lock(connection, tenant, name)
            if there is None:
                raise CanvasNotFound
            _require(only_if, there.etag)
            file = CanvasFile(read_version(connection, there, version))
            return self._write(connection, there, file.whole())

    def delete(self, tenant: str, name: str, only_if: OnlyIf = _always) -> None:
        """Take a canvas away; it can be restored. Raises CanvasNotFound, PreconditionFailed."""
        with self._database.write() as connection:
            there = lock_existing(connection, tenant, name)
            _require(only_if, there.etag)
            row = update(canvases).where(canvases.c.number == there.number)
            connection.execute(row.values(deleted_at=datetime.now(UTC)))

    def add_new(self, tenant: str, names: Iterator[str], edit: Edit, made_by: str) -> str:
        """Keep a canvas that a job has made, under the first of the names that was never used; return the name. If the
        job has made one before, that is left as it is.

        Raises:
            TooManyCanvases
        """
        content = edit.text.encode()  # of any size: the work is done
        mine = select(canvases.c.name).where(canvases.c.tenant == tenant, canvases.c.made_by == made_by)
        with self._database.write() as connection:
            while (made := connection.execute(mine).scalar()) is None:
                name = next(names)
                if self._insert(connection, tenant, name, made_by):
                    there = cast(Locked, lock(connection, tenant, name))
                    add_version(connection, there, edit, content, etag_of(content))
            return str(made)

    def purge(self, before: float) -> int:
        """Forget canvases that were deleted before a time, in seconds since 1970; return how many."""
        old = canvases.c.deleted_at < datetime.fromtimestamp(before, UTC)
        with self._database.write() as connection:
            return connection.execute(delete(canvases).where(old)).rowcount

    def _insert(self, connection: Connection, tenant: str, name: str, made_by: str | None = None) -> bool:
        """Insert a canvas that has no version yet; say whether it was not there."""
        take_turns(connection, f"canvases of {tenant}")
        row = {"tenant": tenant, "name": name, "version": 0, "made_by": made_by, "created_at": datetime.now(UTC)}
        if not inserted(connection, canvases, row):
            return False
        mine = canvases.c.tenant == tenant
        if connection.execute(select(func.count()).where(mine)).scalar_one() > self._limit:
            gone = select(canvases.c.number).where(mine, canvases.c.deleted_at.is_not(None))
            longest = gone.order_by(canvases.c.deleted_at).limit(1).scalar_subquery()
            if not connection.execute(delete(canvases).where(canvases.c.number == longest)).rowcount:
                raise TooManyCanvases
        return True

    def _write(self, connection: Connection, there: Locked, edit: Edit) -> Written:
        content = edit.text.encode()
        etag = etag_of(content)
        if there.etag == etag:
            return Written(there.version, etag, created=False, item=edit.item)
        if len(content) > self._max_bytes or is_crowded(content):
            raise CanvasTooLarge
        add_version(connection, there, edit, content, etag)
        return Written(there.version + 1, etag, created=there.etag is None, item=edit.item)


def _is_known(connection: Connection, tenant: str, name: str) -> bool:
    return connection.execute(select(canvases.c.number).where(*named(tenant, name))).first() is not None


def _require(only_if: OnlyIf, etag: str | None) -> None:
    if not only_if(etag):
        raise PreconditionFailed
