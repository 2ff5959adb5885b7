"""What a job gets: who it works for, its services, its steps, and a voice."""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import NAMESPACE_OID, uuid5

from pydantic import BaseModel

from jobs.core import keys
from jobs.core.effects import result_type, take_effect
from jobs.core.errors import Interrupted, JobCanceled
from jobs.core.events import PROGRESS, add_event
from jobs.core.shutdown import stop_if_asked
from jobs.stores.effects import CutOff

if TYPE_CHECKING:
    from jobs.core.client import JobClient
    from jobs.services import Services

T = TypeVar("T")
_MIN_TTL = 7200  # seconds; long before that, the upkeep makes it that of the job


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
    ) -> None:
        self.job_id = job_id
        self.tenant = tenant
        self.attempt = attempt
        self.services = services
        self._client = client
        self._redis = services.redis
        self._ttl = max(ttl or services.config.result_ttl, _MIN_TTL)
        self._steps: dict[bytes, bytes] | None = None

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

    def checkpoint(self) -> None:
        """Stop here if the job is to be canceled or paused, or its worker is asked to stop.

        Raises:
            JobCanceled: a client canceled the job.
            Interrupted: a client paused the job, or the worker stops; it goes on later, after its last finished step.
        """
        stop_if_asked()
        cancel, pause = self._redis.hmget(keys.state(self.tenant, self.job_id), "cancel", "pause")
        if cancel:
            raise JobCanceled
        if pause:
            raise Interrupted

    def progress(self, percent: float, message: str = "") -> None:
        """Say how far the job is, from 0 to 100. Shown by `GET /jobs/{id}` and sent to watchers."""
        self.checkpoint()
        progress = {"percent": round(max(0.0, min(100.0, percent)), 1), "message": message}
        self.emit(PROGRESS, progress)

    def emit(self, kind: str, data: dict[str, Any]) -> None:
        """Send an event to the job's watchers, now and later. `data` is a JSON object.

        Raises:
            EventTooLarge: it has more than 256 KiB; send it in parts.
        """
        add_event(self._redis, self.services.config, self.tenant, self.job_id, kind, data, ttl=self._ttl)

    def start(self, name: str, args: BaseModel | dict[str, Any], **options: Any) -> str:
        """Start another job for the same tenant and return its id.

        The id follows from this job, the name and the arguments, so a repeated attempt starts nothing twice. Options
        are those of `JobClient.start`, a `job_id` of the caller's among them.
        """
        content = args.model_dump_json() if isinstance(args, BaseModel) else json.dumps(args, sort_keys=True)
        options.setdefault("job_id", uuid5(NAMESPACE_OID, f"{self.job_id}/{name}/{content}").hex)
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

    def _finished_steps(self) -> dict[bytes, bytes]:
        if self._steps is None:
            self._steps = self._redis.hgetall(keys.steps(self.tenant, self.job_id))  # type: ignore[assignment]
        return self._steps or {}

    def _keep_step(self, name: str, result: bytes) -> None:
        key = keys.steps(self.tenant, self.job_id)
        with self._redis.pipeline() as pipeline:
            pipeline.hset(key, name, result)
            pipeline.expire(key, self._ttl)
            pipeline.execute()
        self._finished_steps()[name.encode()] = result
