"""User data: all that is kept of a user, as a file to take along, or deleted."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Annotated, Any

from pydantic import BaseModel, Field

from jobs.core.client import JobClient
from jobs.core.context import JobContext
from jobs.core.spec import Failure, job
from jobs.domain.exports import Format, Record, lines
from jobs.domain.usage import cost_text
from jobs.services import Services
from jobs.stores.exports import COMPLETED, Export
from jobs.stores.user_data import Kind

EXPORT, ERASE, FORGET_USAGE = "user_data.export", "user_data.erase", "user_data.forget_usage"
MAX_BYTES = 2**40  # of an export
KINDS: tuple[Kind, ...] = ("conversations", "sessions", "notifications", "research", "registrations")
_LATE = (3900, 25 * 3600)  # seconds after a deletion: calls of an hour have ended by the first, all by the second
_PAGE = 200  # records read at once
_BEAT = 500  # records between two words of progress
UserId = Annotated[str, Field(max_length=100)]


class ExportArgs(BaseModel):
    """The export that waits under this id."""

    id: str = Field(pattern="^[0-9a-f]{32}$")


class ExportResult(BaseModel):
    """How many records of each kind were written; none, if the export was deleted or written before."""

    records: dict[str, int] = {}
    size: int = 0


class EraseArgs(BaseModel):
    user_id: UserId


class EraseResult(BaseModel):
    """How many rows of each kind were deleted. The figures of usage stay, as those of no user."""

    conversations: int
    sessions: int
    memories: int
    statistics: int
    exports: int
    notifications: int
    research: int
    registrations: int


class UpkeepArgs(BaseModel):
    """After how many seconds an export without a job is taken for left behind."""

    older_than: float = Field(default=60, ge=0)


class UpkeepResult(BaseModel):
    """How many exports were started, and how many deleted since their time is over."""

    started: int = 0
    expired: int = 0


def start_export(
    services: Services, client: JobClient, tenant: str, export_id: str, user_id: str, form: Format
) -> Export:
    """Have a user's data written to a file. One whose id is there is the same one."""
    export = services.exports.add(tenant, export_id, user_id, form)
    _start(client, export)
    return export


def _start(client: JobClient, export: Export) -> None:
    client.start(EXPORT, ExportArgs(id=export.id), tenant=export.tenant, job_id=export.id)


def _mark_failed(ctx: JobContext, args: ExportArgs, failure: Failure) -> None:
    ctx.services.exports.fail(ctx.tenant, args.id, failure.code)


@job(EXPORT, queue="low", timeout=3600, isolated=True, describe=("id",), on_failure=_mark_failed)
def export(ctx: JobContext, args: ExportArgs) -> ExportResult:
    """Write all that is kept of a user to a file that can be fetched for some time."""
    wanted = ctx.services.exports.find(ctx.tenant, args.id)
    if wanted is None:  # the user's data was deleted meanwhile
        return ExportResult()
    if wanted.status != COMPLETED:
        _write(ctx, wanted)
    written = ctx.services.exports.find(ctx.tenant, args.id)
    return ExportResult(records=dict(written.records), size=written.size or 0) if written else ExportResult()


def _write(ctx: JobContext, wanted: Export) -> None:
    services, counts = ctx.services, Counter[str]()
    while services.conversations.log(ctx.tenant).conversations:  # what was said before this was asked for is in it
        ctx.checkpoint()
    records = _counted(ctx, _records(services, ctx.tenant, wanted.user_id), counts)
    with services.blobs.stage(_Produced(lines(wanted.format, records)), MAX_BYTES) as staged:
        blob = services.blobs.put(ctx.tenant, staged)
    if not services.exports.complete(ctx.tenant, wanted.id, blob, staged.size, counts):
        services.blobs.delete(blob)  # deleted meanwhile, or another run was quicker


def _counted(ctx: JobContext, records: Iterable[Record], counts: Counter[str]) -> Iterator[Record]:
    for number, record in enumerate(records, 1):
        counts[record["kind"]] += 1
        yield record
        if number % _BEAT == 0:
            ctx.progress(50, f"{number} records")


class _Produced:
    """Bytes that are made as they are read."""

    def __init__(self, parts: Iterator[bytes]) -> None:
        self._parts = parts
        self._made = bytearray()

    def read(self, size: int, /) -> bytes:
        """Return up to so many bytes, and nothing at the end."""
        while len(self._made) < size and (part := next(self._parts, b"")):
            self._made += part
        taken = bytes(self._made[:size])
        del self._made[:size]
        return taken


@job(ERASE, queue="low", timeout=3600, isolated=True)
def erase(ctx: JobContext, args: EraseArgs) -> EraseResult:
    """Delete all that is kept of a user; what was done before goes on after what was finished."""
    services, user_id = ctx.services, args.user_id
    ctx.step("unlogged", _drop, ctx, services.conversations.drop_waiting, user_id)
    drop = {kind: partial(services.user_data.drop_some, kind) for kind in KINDS}
    counts = {kind: ctx.step(kind, _drop, ctx, drop[kind], user_id) for kind in KINDS}
    memories = ctx.step("memories", services.memories.forget_all, ctx.tenant, user_id)
    exports = ctx.step("exports", _drop_exports, ctx, user_id)
    statistics = ctx.step("statistics", services.user_stats.forget, ctx.tenant, user_id)
    services.usage.anonymize(ctx.tenant, user_id)
    for seconds in _LATE:
        ctx.start(FORGET_USAGE, args, job_id=f"{ctx.job_id[:24]}{seconds:08x}", due=time.time() + seconds)
    return EraseResult(**counts, memories=memories, exports=exports, statistics=int(statistics))


@job(FORGET_USAGE, queue="low", timeout=600)
def forget_usage(ctx: JobContext, args: EraseArgs) -> None:
    """Make no user's what calls have used that were under way when the user's data was deleted."""
    ctx.services.usage.anonymize(ctx.tenant, args.user_id)


def _drop(ctx: JobContext, drop_some: Callable[[str, str], int], user_id: str) -> int:
    total = 0
    while dropped := drop_some(ctx.tenant, user_id):
        total += dropped
        ctx.checkpoint()
    return total


def _drop_exports(ctx: JobContext, user_id: str) -> int:
    total = 0
    while found := ctx.services.exports.of_user(ctx.tenant, user_id):
        for each in found:
            _delete(ctx.services, each)
        total += len(found)
    return total


def _delete(services: Services, export: Export) -> None:
    if export.blob:
        services.blobs.delete(export.blob)
    services.exports.delete(export.tenant, export.id)


@job("user_data.upkeep", queue="low", timeout=600, isolated=True, every=600)
def upkeep(ctx: JobContext, args: UpkeepArgs) -> UpkeepResult:
    """Delete exports whose time is over, start those that have no job, forget users of whom nothing is kept."""
    services, result = ctx.services, UpkeepResult()
    client = JobClient(services.redis, result_ttl=services.config.result_ttl, work=services.work)
    for each in services.exports.without_job(args.older_than):
        _start(client, each)
        result.started += 1
    while found := services.exports.expired(services.config.export_hours * 3600):
        for each in found:
            _delete(services, each)
        result.expired += len(found)
    services.user_stats.purge()
    return result


def _records(services: Services, tenant: str, user_id: str) -> Iterator[Record]:
    """Yield all that is kept of a user, a page at a time; of each kind the newest first."""
    yield from _conversations(services, tenant, user_id)
    yield from _sessions(services, tenant, user_id)
    yield from _memories(services, tenant, user_id)
    stats = services.user_stats.get(tenant, user_id)
    yield {"kind": "statistics", "user_id": user_id, **vars(stats)}
    for row in services.usage.of_user(tenant, user_id):
        known = {name: row[name] for name in ("day", "model", "source", "calls", "prompt_tokens", "completion_tokens")}
        yield {"kind": "usage", **known, "estimated": row["estimated"], **_cost(row)}
    if user := services.users.find(tenant, user_id):
        known = {name: getattr(user, name) for name in ("user_id", "email", "phone", "name", "language", "created_at")}
        yield {"kind": "registration", **known}
    yield from _notifications(services, tenant, user_id)
    yield from _research(services, tenant, user_id)


def _conversations(services: Services, tenant: str, user_id: str) -> Iterator[Record]:
    before: int | None = None
    while page := services.conversations.history(tenant, user_id, before=before, limit=_PAGE):
        for each in page:
            known = {name: value for name, value in vars(each).items() if name not in ("tenant", "user_id", "number")}
            yield {"kind": "conversation", "id": each.number, **known}
        before = page[-1].number


def _sessions(services: Services, tenant: str, user_id: str) -> Iterator[Record]:
    before: int | None = None
    while page := services.sessions.list(tenant, user_id, before=before, limit=_PAGE):
        for each in page:
            known = {name: getattr(each, name) for name in ("session_id", "topic", "exchanges", "analyzed_at")}
            analysis = each.analysis.model_dump() if each.analysis else {}
            yield {"kind": "session", **known, **analysis, "model": each.analysis_model}
        before = page[-1].last_number


def _memories(services: Services, tenant: str, user_id: str) -> Iterator[Record]:
    before: int | None = None
    while page := services.memories.list(tenant, user_id, before=before, limit=_PAGE):
        for each in page:
            yield {"kind": "memory", "id": each.number, **{k: v for k, v in vars(each).items() if k != "number"}}
        before = page[-1].number


def _notifications(services: Services, tenant: str, user_id: str) -> Iterator[Record]:
    names = ("id", "event_type", "channel", "recipient", "subject", "text", "state", "created_at")
    before: int | None = None
    while page := services.notifications.page(tenant, user_id=user_id, before=before, limit=_PAGE):
        for each in page:
            for delivery in each.deliveries:
                yield {"kind": "notification", **{name: getattr(delivery, name) for name in names}}
        before = page[-1].number


def _research(services: Services, tenant: str, user_id: str) -> Iterator[Record]:
    before: int | None = None
    while page := services.research.of_user(tenant, user_id, before=before, limit=_PAGE):
        for each in page:
            known = {name: getattr(each, name) for name in ("id", "query", "title", "status", "model", "created_at")}
            yield {"kind": "research", **known, "text": each.content.report if each.content else None}
        before = page[-1].number


def _cost(row: Mapping[str, Any]) -> Record:
    return {"cost": cost_text(row["cost"] and int(row["cost"])), "currency": row["currency"]}
