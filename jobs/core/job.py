"""The RQ job as our workers run it: one function only, nothing that a forged hash could bring in."""

import zlib
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, Self

from rq.exceptions import DeserializationError
from rq.job import Job, Retry
from rq.results import Result
from rq.utils import import_attribute

from jobs.core.enqueue import RUN
from jobs.core.errors import FatalError

if TYPE_CHECKING:
    from redis.client import Pipeline
    from rq import Queue


class ForbiddenFunction(FatalError):
    """The job names a function that this worker does not run."""

    code = "forbidden_function"


_TEXT = frozenset(
    b"created_at enqueued_at origin description timeout result_ttl failure_ttl number_of_retries group_id".split()
)
_ORDINARY = _TEXT | frozenset(b"data meta status started_at ended_at last_heartbeat worker_name".split())


class OffstageJob(Job):
    """A job that may call `allowed` functions only, without callbacks and webhooks. `allowed` None: anything goes."""

    allowed: ClassVar[frozenset[str] | None] = frozenset({RUN})
    must_run_alone = False

    def restore(self, raw_data: Any) -> Any:
        """Take over the fields of a hash."""
        super().restore(raw_data)
        if self.allowed is not None:
            self._success_callback_name = self._failure_callback_name = self._stopped_callback_name = None
            self.webhooks = []

    @classmethod
    def from_fields(cls, template: "OffstageJob", job_id: str, fields: dict[bytes, bytes]) -> Self:
        """Return the job of a hash, in a fraction of RQ's time when it uses nothing out of the ordinary.

        `template` is any job of the same connection and serializer.
        """
        job = cls.__new__(cls)
        job.__dict__.update(template.__dict__)
        job._id, job.webhooks, job._dependency_ids = job_id, [], []
        unusual = [field for field, value in fields.items() if value and field not in _ORDINARY]
        if unusual:
            job.must_run_alone = b"offstage_solo" in fields
            job.restore(fields)
        else:
            job._restore_ordinary(fields)
        return job

    def _restore_ordinary(self, fields: dict[bytes, bytes]) -> None:
        data = fields[b"data"]
        try:
            self.data = zlib.decompress(data)
        except zlib.error:  # short ones are kept as they are
            self.data = data
        text = {field.decode(): value.decode() for field, value in fields.items() if value and field in _TEXT}
        self.created_at = datetime.fromisoformat(text["created_at"]) if "created_at" in text else datetime.now(UTC)
        self.enqueued_at = datetime.fromisoformat(text["enqueued_at"]) if "enqueued_at" in text else None
        self.origin, self.description = text.get("origin", ""), text.get("description")
        self.timeout, self.result_ttl = _integer(text, "timeout"), _integer(text, "result_ttl")
        self.failure_ttl, self.number_of_retries = _integer(text, "failure_ttl"), _integer(text, "number_of_retries")
        self.group_id = text.get("group_id")
        meta = fields.get(b"meta")
        self.meta = self.serializer.loads(meta) if meta else {}

    @property
    def func(self) -> Any:
        """The function to call.

        Raises:
            ForbiddenFunction: it is not among those allowed.
        """
        name = self.func_name
        if self.allowed is not None and (name not in self.allowed or self.instance):
            raise ForbiddenFunction
        if name is None or self.instance:
            return super().func
        return _resolve(name)

    @property
    def is_ours(self) -> bool:
        """Whether this is a job of a declared type, for a tenant."""
        try:
            return self.func_name == RUN and isinstance(self.meta.get("tenant"), str)
        except (DeserializationError, AttributeError):
            return False

    def retry(self, queue: "Queue", pipeline: "Pipeline") -> None:
        """Schedule or enqueue another attempt, wholly in `pipeline`: RQ's own sets the status outside of it."""
        interval = self.get_retry_interval()
        self.retries_left = (self.retries_left or 1) - 1
        self._again(queue, pipeline, interval)

    def _handle_retry_result(
        self, queue: "Queue", pipeline: "Pipeline", retry: Retry, *args: Any, **execution: Any
    ) -> None:
        Result.create_retried(self, self.failure_ttl, retry, pipeline=pipeline, **{"worker_name": "", **execution})
        interval = Retry.get_interval(self.number_of_retries or 0, retry.intervals)
        self.number_of_retries = (self.number_of_retries or 0) + 1
        self.enqueue_at_front_on_retry = self.enqueue_at_front_on_retry or retry.enqueue_at_front
        self._again(queue, pipeline, interval)

    def _again(self, queue: "Queue", pipeline: "Pipeline", interval: float) -> None:
        if interval:
            queue.schedule_job(self, datetime.now(UTC) + timedelta(seconds=interval), pipeline=pipeline)
        else:
            queue._enqueue_job(self, pipeline=pipeline, at_front=self.enqueue_at_front_on_retry)


class AnyJob(OffstageJob):
    """A job that may call any function, with callbacks and webhooks: for queues that only trusted code writes to."""

    allowed = None


def _integer(text: dict[str, str], name: str) -> int | None:
    return int(text[name]) if name in text else None


def retries_allowed(job: Job) -> int:
    """Return how many attempts may follow the first, as the job's meta says; what is no number is none."""
    retries = job.meta.get("retries")
    return retries if isinstance(retries, int) else 0


@cache
def _resolve(name: str) -> Any:
    """Import a function; a module that cannot be imported says why, where RQ speaks of an invalid attribute."""
    try:
        return import_attribute(name)
    except ValueError:
        for module in _module_names(name):
            try:
                import_module(module)
            except ModuleNotFoundError as error:
                if error.name and (module == error.name or module.startswith(f"{error.name}.")):
                    continue
                raise
            break
        raise


def _module_names(name: str) -> Iterable[str]:
    parts = name.split(".")[:-1]
    return (".".join(parts[:end]) for end in range(len(parts), 0, -1))
