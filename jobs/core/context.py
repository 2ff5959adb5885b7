"""What a job gets: who it works for, its services, its steps, and a voice."""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from threading import Event
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar
from uuid import NAMESPACE_OID, uuid4, uuid5

from pydantic import BaseModel

from jobs.core import keys
from jobs.core.effects import result_type, take_effect
from jobs.core.errors import Awaiting, Interrupted, JobCanceled, Postponed
from jobs.core.events import PROGRESS, add_event
from jobs.core.parallel import Done, run_together
from jobs.core.shutdown import stop_if_asked
from jobs.stores.effects import CutOff

if TYPE_CHECKING:
    from jobs.core.client import JobClient
    from jobs.core.view import JobView
    from jobs.services import Services

T = TypeVar("T")
_MIN_TTL = 7200  # seconds; long before that, the upkeep makes it that of the job
_LOOK_SECONDS = 1.0  # between two checkpoints of a wait


class JobContext:
    """Passed to every job as its first argument.

    `attempt` counts from 1. `step`, `progress` and `checkpoint` are the places where a job can be canceled or
    paused, or put back because its worker is asked to stop.
    """

    def __init__(
        self,
        *,
        job_id: str,
        tenant: str,
        attempt: int,
        services: "Services",
        client: "JobClient",
        ttl: int | None = None,
        created_at: datetime | None = None,
        worker: str = "",
    ) -> None:
        self.job_id = job_id
        self.worker = worker
        self.tenant = tenant
        self.attempt = attempt
        self.services = services
        self.created_at = created_at or datetime.now(UTC)
        self._together = False  # steps run at the same time: the job then leaves where they are waited for
        self._leaving = Event()  # set when the job leaves its worker: what it has begun in threads is to end
        self._client = client
        self._redis = services.redis
        self._ttl = max(ttl or services.config.result_ttl, _MIN_TTL)
        self._steps: dict[bytes, bytes] | None = None
        self._run = uuid4().hex  # this run of the job; another one may begin elsewhere if this is taken for dead
        self._has_begun = False

    def step(self, name: str, function: Callable[..., T], *args: Any) -> T:
        """Run a part of the job, once: a finished step is not done again after a retry or a crash.

        The result must be JSON data or a pydantic model named in the function's return annotation. A step that was
        under way when the process died runs again, so steps are idempotent.
        """
        self.checkpoint()
        returns = result_type(function)
        done = self._finished_steps().get(name.encode())
        if done is not None:
            return returns.validate_json(done)
        result = function(*args)
        self._keep_step(name, returns.dump_json(result))
        return result

    def count(self, name: str, more: int = 0) -> int:
        """Add to a number that the job keeps over its attempts, and return it. It is 0 at first."""
        key = keys.steps(self.tenant, self.job_id)
        with self._redis.pipeline() as pipeline:
            pipeline.hincrby(key, keys.COUNT + name, more)
            pipeline.expire(key, self._ttl)
            return int(pipeline.execute()[0])

    def parallel(self, tasks: Mapping[str, Callable[[], T]], limit: int) -> Iterator[Done[T]]:
        """Run steps at the same time, `limit` of them at most, and yield each as it ends, with its result or its error.

        Each is kept under its name as soon as it ends, like a `step`; those that were finished before come first. When
        the job is to leave, nothing more is begun, and what is under way is waited for and kept.
        """
        self.checkpoint()
        finished = dict(self._finished_steps())
        for name in (name for name in tasks if name.encode() in finished):
            yield Done(name, result_type(tasks[name]).validate_json(finished[name.encode()]))
        todo = {name: self._kept(name, function) for name, function in tasks.items() if name.encode() not in finished}
        self._together = True
        try:
            yield from run_together(todo, limit, self._leaving, self.checkpoint)
        finally:
            self._together = False

    def wait_for(self, job_ids: Sequence[str]) -> "list[JobView]":
        """Return other jobs of the tenant, once all have ended, however they did.

        Until then the job leaves its worker, and begins again after its finished steps when they have; no attempt is
        used up.

        Raises:
            JobNotFound: there is no such job.
        """
        self.checkpoint()
        views = [self._client.present(self.tenant, job_id) for job_id in job_ids]
        if under_way := [view.id for view in views if not view.ended]:
            raise Awaiting(under_way)
        return views

    def postpone(self, seconds: float) -> NoReturn:
        """Leave the worker, and begin again after the finished steps when the time is over; no attempt is used up."""
        self.checkpoint()
        raise Postponed(seconds)

    def sleep(self, seconds: float) -> None:
        """Wait, and hold the worker meanwhile. A checkpoint."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self.checkpoint()
            self._leaving.wait(min(left, _LOOK_SECONDS))
        self.checkpoint()

    def checkpoint(self) -> None:
        """Stop here if the job is to be canceled or paused, or its worker is asked to stop.

        Raises:
            JobCanceled: a client canceled the job.
            Interrupted: a client paused the job, or the worker stops; it goes on later, after its last finished step.
                Or this worker was taken for dead, and another one has begun.
        """
        stop_if_asked()
        if self._leaving.is_set():
            raise Interrupted
        if not self._has_begun:
            self._begin()
        cancel, pause, run = self._redis.hmget(keys.state(self.tenant, self.job_id), "cancel", "pause", "run")
        if cancel:
            raise JobCanceled
        if pause or run not in (None, self._run.encode()):
            raise Interrupted
        if run is None:  # Redis has lost it
            self._begin()

    def progress(self, percent: float, message: str = "") -> None:
        """Say how far the job is, from 0 to 100. Shown by `GET /jobs/{id}` and sent to watchers."""
        if not self._together:
            self.checkpoint()
        progress = {"percent": round(max(0.0, min(100.0, percent)), 1), "message": message}
        self.emit(PROGRESS, progress)

    def say(self, message: str) -> None:
        """Say how it goes, as far as the job is; nothing if that is what was said last."""
        kept: Any = self._redis.hget(keys.state(self.tenant, self.job_id), PROGRESS)
        last = json.loads(kept) if kept else {"percent": 0.0}
        if last.get("message") != message:
            self.progress(last["percent"], message)

    def emit(self, kind: str, data: dict[str, Any], *, writer: str = "") -> None:
        """Send an event to the job's watchers, now and later. `data` is a JSON object.

        With a `writer` it is sent only while `become_writer` has named no other.

        Raises:
            EventTooLarge: it has more than 256 KiB; send it in parts.
            Interrupted: another attempt writes for the job: this one was taken for dead.
        """
        config, tenant, job_id = self.services.config, self.tenant, self.job_id
        if not add_event(self._redis, config, tenant, job_id, kind, data, ttl=self._ttl, writer=writer):
            raise Interrupted

    def start(self, name: str, args: BaseModel | dict[str, Any], *, child: bool = False, **options: Any) -> str:
        """Start another job for the same tenant and return its id. A `child` is paused, resumed and canceled with this
        one.

        The id follows from this job, the name and the arguments, so a repeated attempt starts nothing twice. Options
        are those of `JobClient.start`, a `job_id` of the caller's among them.
        """
        content = args.model_dump_json() if isinstance(args, BaseModel) else json.dumps(args, sort_keys=True)
        options.setdefault("job_id", uuid5(NAMESPACE_OID, f"{self.job_id}/{name}/{content}").hex)
        if child:
            self._add_child(options["job_id"])
            options["parent"] = self.job_id
        return self._client.start(name, args, tenant=self.tenant, **options)

    def effect(self, key: str, function: Callable[[], T], *, channel: str, cut_off: CutOff = "unknown") -> T:
        """Do something outside, once: under a `key` of the tenant's that is the same at every attempt.

        What is done is not done again: its result is returned, JSON data or what the function's return annotation says.
        An exception of `function` means that it did not happen, unless it has a true attribute `uncertain`. If an
        attempt was cut off in the middle, by a kill or a timeout, the outcome is `unknown`, or, with `cut_off="again"`,
        where the other side knows the key, it is done again.

        Raises:
            EffectUnknown: nobody knows whether it has happened; it is not tried again.
        """
        return take_effect(self, key, function, channel, cut_off)

    def _kept(self, name: str, function: Callable[[], T]) -> Callable[[], T]:
        """Return a function whose result is kept as that of a step."""

        def run() -> T:
            result = function()
            self._keep_step(name, result_type(function).dump_json(result))
            return result

        return run

    def _add_child(self, job_id: str) -> None:
        key = keys.children(self.tenant, self.job_id)
        with self._redis.pipeline() as pipeline:
            pipeline.sadd(key, job_id)
            pipeline.expire(key, self._ttl)
            pipeline.execute()

    def _begin(self) -> None:
        """Say that this is the run of the job, and give Redis the steps that it has finished, if it has lost them."""
        state, steps = keys.state(self.tenant, self.job_id), keys.steps(self.tenant, self.job_id)
        with self._redis.pipeline() as pipeline:
            pipeline.hset(state, "run", self._run)
            pipeline.expire(state, self._ttl)
            if self._steps:
                pipeline.hset(steps, mapping=dict(self._steps))  # type: ignore[arg-type]
                pipeline.expire(steps, self._ttl)
            pipeline.execute()
        self._has_begun = True

    def _finished_steps(self) -> dict[bytes, bytes]:
        if self._steps is None:
            found: Any = self._redis.hgetall(keys.steps(self.tenant, self.job_id))
            self._steps = dict(found)
        return self._steps

    def _keep_step(self, name: str, result: bytes) -> None:
        key = keys.steps(self.tenant, self.job_id)
        with self._redis.pipeline() as pipeline:
            pipeline.hset(key, name, result)
            pipeline.expire(key, self._ttl)
            pipeline.execute()
        self._finished_steps()[name.encode()] = result
