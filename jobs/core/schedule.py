"""The scheduler: moves due jobs to their queues, starts upkeep jobs at their intervals, and schedules' runs.

Any number may run at once: moving is one script, and each interval's start belongs to the one that claims it.
"""

import logging
import time
from datetime import UTC, datetime
from threading import Event, Thread
from uuid import NAMESPACE_OID, uuid5

from redis import Redis
from redis.exceptions import RedisError
from rq import Queue
from rq.defaults import RQ_KEY_PREFIX
from rq.job import Job
from rq.registry import ScheduledJobRegistry
from rq.serializers import JSONSerializer
from rq.utils import as_text, utcformat

from jobs.core.client import JobClient
from jobs.core.schedules import ScheduleStarter
from jobs.core.spec import JobType
from jobs.core.worker_parts.scripts import call

UPKEEP_TENANT = "upkeep"
_QUEUES = f"{RQ_KEY_PREFIX}:queues"
UNREADABLE_SECONDS = 7 * 24 * 3600
INTERVAL = 0.25  # seconds
_BATCH = 500  # jobs of one queue in one round
_LAST_WORDS = 5  # seconds that the thread of the schedules gets to end; a kill between its steps does no harm
log = logging.getLogger(__name__)


class Scheduler:
    """Promotes what is due, every `interval` seconds, for every queue that RQ knows."""

    def __init__(self, redis: Redis, *, interval: float = INTERVAL) -> None:
        self._redis = redis
        self._interval = interval
        self._stop = Event()
        self._stopping = False
        self._upkeep: list[JobType] = []
        self._client: JobClient | None = None
        self._starter: ScheduleStarter | None = None

    def keep_up(self, client: JobClient, job_types: list[JobType]) -> None:
        """Start those of the job types that have an interval, from now on."""
        self._client = client
        self._upkeep = [job_type for job_type in job_types if job_type.every]

    def keep_schedules(self, starter: ScheduleStarter) -> None:
        """Start the runs of schedules too, in a thread: a database that is away holds up no job that is due."""
        self._starter = starter

    def run(self) -> None:
        """Go on until `stop`, through Redis outages too."""
        thread = Thread(target=self._starter.run, args=[self._stop], daemon=True) if self._starter else None
        if thread:
            thread.start()
        while not self._stopping:
            try:
                self.start_upkeep()
                if self.promote() == _BATCH:
                    continue
            except RedisError as error:  # away, full, or cannot write: it may be mended
                log.error("scheduler: Redis does not do its work: %s", error)
            time.sleep(self._interval)
        self._stop.set()
        if thread:
            thread.join(timeout=_LAST_WORDS)

    def stop(self) -> None:
        """End `run` soon. A signal handler may call it: it takes no lock."""
        self._stopping = True

    def promote(self) -> int:
        """Move due jobs to their queues once; return how many were moved, at most 500 of one queue."""
        moment = datetime.now(UTC)
        queues = [as_text(key).removeprefix(f"{RQ_KEY_PREFIX}:queue:") for key in self._redis.smembers(_QUEUES)]
        if not queues:
            return 0
        args = [RQ_KEY_PREFIX, moment.timestamp(), utcformat(moment), _BATCH, *queues]
        moved, limited = call(self._redis, "promote", [], args)
        for queue, job_id in zip(limited[::2], limited[1::2], strict=True):
            self._promote_or_set_aside(queue.decode(), job_id.decode())
        return int(moved)

    def start_upkeep(self) -> None:
        """Start the upkeep jobs whose interval has begun, each once among all schedulers."""
        for job_type in self._upkeep:
            number = int(time.time() // job_type.every)
            slot = f"offstage:upkeep:{job_type.name}:{number}"
            if self._client and self._redis.set(slot, "1", nx=True, ex=2 * job_type.every):
                job_id = uuid5(NAMESPACE_OID, slot).hex
                self._client.start(job_type.name, {}, tenant=UPKEEP_TENANT, job_id=job_id)

    def _promote_or_set_aside(self, name: str, job_id: str) -> None:
        """Let RQ move a job; one whose hash cannot be read goes to the failed ones and holds up no other."""
        try:
            self._promote_limited(name, job_id)
        except RedisError:
            raise
        except Exception:
            log.exception("scheduler: job %s cannot be read", job_id)
            with self._redis.pipeline() as pipeline:
                pipeline.zrem(f"{RQ_KEY_PREFIX}:scheduled:{name}", job_id)
                pipeline.zadd(f"{RQ_KEY_PREFIX}:failed:{name}", {job_id: time.time() + UNREADABLE_SECONDS})
                pipeline.execute()

    def _promote_limited(self, name: str, job_id: str) -> None:
        """Let RQ move a job that a rate limit holds."""
        queue = Queue(name, connection=self._redis, serializer=JSONSerializer)
        job = Job.fetch(job_id, connection=self._redis, serializer=JSONSerializer)
        registry = ScheduledJobRegistry(queue=queue)
        with self._redis.pipeline() as pipeline:
            pipeline.watch(registry.key)
            if registry.connection.zscore(registry.key, job_id) is None:
                return
            pipeline.multi()
            registry.remove(job_id, pipeline=pipeline)
            queue._enqueue_rate_limited_job(job, pipeline=pipeline, at_front=job.should_enqueue_at_front())
            pipeline.execute()
