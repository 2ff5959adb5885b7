"""The RQ job as our workers run it: one function only, nothing that a forged hash could bring in."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar

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


class OffstageJob(Job):
    """A job that may call `allowed` functions only, without callbacks and webhooks. `allowed` None: anything goes."""

    allowed: ClassVar[frozenset[str] | None] = frozenset({RUN})

    def restore(self, raw_data: Any) -> Any:
        """Take over the fields of a hash."""
        super().restore(raw_data)
        self.must_run_alone = b"offstage_solo" in raw_data
        if self.allowed is not None:
            self._success_callback_name = self._failure_callback_name = self._stopped_callback_name = None
            self.webhooks = []

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
