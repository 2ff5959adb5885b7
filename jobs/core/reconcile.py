"""Find accepted work that nobody in Redis has, and start it again.

Work counts as held when its hash stands where its status says: on a queue's list, in a registry, or with a worker. How
long it has waited is no sign: jobs that only wait are left alone, however many and however old they are.
"""

import json
import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from redis import Redis
from redis.exceptions import ResponseError
from rq.defaults import RQ_KEY_PREFIX
from rq.job import Job
from rq.utils import as_text, utcformat

from config import QUEUES
from jobs.core import keys
from jobs.core.acceptance import Acceptance
from jobs.core.apart import apart
from jobs.core.batch_intake import BatchOvertaken, Intake
from jobs.core.batches import PIECE, look
from jobs.core.enqueue import UnknownDependency
from jobs.core.telling import tell_ends
from jobs.core.view import END_STATES, JobNotFound, read_job
from jobs.core.worker_parts.scripts import call
from jobs.stores.work import WorkStore
from jobs.stores.work_rows import Work

YOUNG_SECONDS = 5.0  # whoever accepted it may be about to enqueue it
_PAGE = 500
log = logging.getLogger(__name__)

_Found = tuple[str | None, bytes | None, str]
_REGISTRIES = {"scheduled": "scheduled", "deferred": "deferred", "started": "wip"}


@dataclass
class Reconciled:
    """How much work was started anew since Redis had lost it, put back since nobody held it, replaced since its hash
    could not be read, and recorded as ended; how many batches and deliveries of webhooks were started anew."""

    restored: int = 0
    put_back: int = 0
    replaced: int = 0
    ended: int = 0
    batches: int = 0
    told: int = 0


@dataclass
class _Held:
    """Who holds what, read once: the ids on each queue's list and in its registries, and which batches there are."""

    redis: Redis
    _known: dict[str, set[str]] = field(default_factory=dict)
    _batches: dict[str, bool] = field(default_factory=dict)

    def holds(self, status: str, queue: str, job_id: str) -> bool:
        if status not in ("queued", *_REGISTRIES):
            return True  # RQ's own waiting places
        kind = _REGISTRIES.get(status, "queue")
        key = f"{RQ_KEY_PREFIX}:{kind}:{queue}"
        if key not in self._known:
            members: Any = self.redis.lrange(key, 0, -1) if kind == "queue" else self.redis.zrange(key, 0, -1)
            self._known[key] = {as_text(member).partition(":")[0] for member in members}
        return job_id in self._known[key]

    def lacks_batch_of(self, work: Work) -> bool:
        """Say whether the batch of the work is not in Redis, or not all of it yet: it is started as a whole."""
        if work.batch_id is None:
            return False
        key = keys.batch(work.tenant, work.batch_id)
        if key not in self._batches:
            self._batches[key] = self.redis.hget(key, "filled") == b"1"
        return not self._batches[key]


def reconcile(
    redis: Redis, store: WorkStore, *, young: float = YOUNG_SECONDS, beat: Callable[[], object] = lambda: None
) -> Reconciled:
    """Look at all open work once; return what was done.

    `young` is how many seconds new work is left alone. `beat` is called again and again while this goes on.
    """
    acceptance, done, held = Acceptance(redis, store), Reconciled(), _Held(redis)
    before, after = datetime.now(UTC) - timedelta(seconds=young), 0
    while page := store.open(after=after, before=before, limit=_PAGE):
        beat()
        after = page[-1].number
        _reconcile_page(redis, acceptance, page, held, done)
    for batch in store.open_batches(before):
        beat()
        with apart(f"batch {batch.id}"):
            _reconcile_batch(redis, store, batch.tenant, batch.id, done)
    done.told = tell_ends(redis, store, before, beat)
    return done


def _reconcile_page(redis: Redis, acceptance: Acceptance, page: Sequence[Work], held: _Held, done: Reconciled) -> None:
    for work, found in zip(page, _look(redis, page), strict=True):
        with apart(f"work {work.id}"):
            _reconcile_one(redis, acceptance, work, found, held, done)


def _reconcile_one(
    redis: Redis, acceptance: Acceptance, work: Work, found: _Found, held: _Held, done: Reconciled
) -> None:
    status, meta, queue = found
    if held.lacks_batch_of(work):
        return
    if status is None:
        done.restored += _restore(acceptance, work)
    elif not _is_ours(meta, work):
        _clear(redis, work)
        done.replaced += _restore(acceptance, work)
    elif status in ("finished", "failed", "stopped", "canceled"):
        _record_end(redis, acceptance, work)
        done.ended += 1
    elif not held.holds(status, queue, work.id):
        done.put_back += _put_back(redis, work.id)


def _look(redis: Redis, page: Sequence[Work]) -> Iterable[_Found]:
    """Yield status, meta and queue of each job; the status is None without a hash, and `torn` if it is none."""
    with redis.pipeline(transaction=False) as pipeline:
        for work in page:
            pipeline.hmget(Job.key_for(work.id), "status", "meta", "origin")
            pipeline.exists(Job.key_for(work.id))
        raw: list[Any] = pipeline.execute(raise_on_error=False)
    for fields, exists in zip(raw[::2], raw[1::2], strict=True):
        if isinstance(fields, ResponseError):  # a key of another type
            yield "torn", None, ""
        elif not exists:
            yield None, None, ""
        else:
            status, meta, queue = fields
            yield as_text(status) if status else "torn", meta, as_text(queue) if queue else ""


def _is_ours(meta: bytes | None, work: Work) -> bool:
    """Say whether a hash is that of this work: a torn or exchanged one names no tenant, or another one."""
    try:
        return bool(json.loads(meta or b"null")["tenant"] == work.tenant)
    except (ValueError, TypeError, KeyError):
        return False


def _restore(acceptance: Acceptance, work: Work) -> bool:
    try:
        acceptance.restore(work)
    except UnknownDependency as error:  # it comes in a later round, after those that it waits for
        log.warning("work %s: %s", work.id, error)
        return False
    return True


def _clear(redis: Redis, work: Work) -> None:
    """Remove a hash that cannot be read, and where it stands."""
    with redis.pipeline() as pipeline:
        pipeline.delete(Job.key_for(work.id), f"rq:results:{work.id}")
        for queue in QUEUES:
            for registry in ("failed", "scheduled", "deferred", "finished", "canceled"):
                pipeline.zrem(f"{RQ_KEY_PREFIX}:{registry}:{queue}", work.id)
            pipeline.lrem(f"{RQ_KEY_PREFIX}:queue:{queue}", 0, work.id)
        pipeline.execute()


def _put_back(redis: Redis, job_id: str) -> bool:
    return bool(call(redis, "stranded", [], [RQ_KEY_PREFIX, job_id, utcformat(datetime.now(UTC))]))


def _record_end(redis: Redis, acceptance: Acceptance, work: Work) -> None:
    with suppress(JobNotFound):
        view = read_job(redis, work.tenant, work.id)
        if view.state in END_STATES:
            acceptance.mirror(view, work.generation)


def _reconcile_batch(redis: Redis, store: WorkStore, tenant: str, batch_id: str, done: Reconciled) -> None:
    view, batch = look(redis, tenant, batch_id), store.batch(tenant, batch_id)
    if batch is None:
        return
    keep = max((work.keep for work in store.of_batch(batch_id)), default=0) if view is None or view.ended_at else 0
    if view is None:
        with suppress(BatchOvertaken, UnknownDependency):
            Intake(redis, tenant, batch_id, keep, PIECE).rebuild(store, batch)
            done.batches += 1
    elif view.ended_at:
        store.end_batch(batch_id, keep)
