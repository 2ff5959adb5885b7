"""Stand-ins for the outside, and a way to run jobs in the test's own process."""

from decimal import Decimal
from typing import Any, cast

from redis import Redis
from rq import Queue, SimpleWorker
from rq.job import Job
from rq.registry import ScheduledJobRegistry
from rq.serializers import JSONSerializer

from config import QUEUES, Config, load_config
from jobs.core.client import JobClient
from jobs.core.errors import Awaiting
from jobs.core.runner import failure_of, run_failure_hook, run_with
from jobs.domain.usage import Price, PriceTable
from jobs.providers.llm import build_language_model
from jobs.providers.templates import load_events
from jobs.services import Services, build_gate, build_pages
from jobs.stores.canvases import CanvasStore
from jobs.stores.conversations import ConversationStore
from jobs.stores.database import Database
from jobs.stores.effects import EffectStore
from jobs.stores.exports import ExportStore
from jobs.stores.memories import MemoryStore
from jobs.stores.notifications import NotificationStore
from jobs.stores.requests import RequestStore
from jobs.stores.research import ResearchStore
from jobs.stores.sessions import SessionStore
from jobs.stores.usage import UsageStore
from jobs.stores.user_data import UserDataStore
from jobs.stores.user_stats import UserStatsStore
from jobs.stores.users import UserStore
from jobs.stores.work import WorkStore

PRICES = PriceTable({"small": Price(Decimal("0.15"), Decimal("0.6"))}, "USD")


def engine_services(redis: "Redis", config: Config | None = None, database: Database | None = None) -> Services:
    """Return services with Redis, settings and, if given, a database, for tests of the engine."""
    given = config or load_config()
    absent = cast(Any, None)
    return Services(
        config=given,
        redis=redis,
        database=database or absent,
        blobs=absent,
        documents=absent,
        search=absent,
        embedder=absent,
        llm=build_language_model(given.llm_url, model=given.llm_model, timeout=given.llm_timeout),
        model_gate=build_gate(redis, given) if redis is not None else absent,
        work=WorkStore(database) if database else absent,
        requests=RequestStore(database) if database else absent,
        effects=EffectStore(database) if database else absent,
        conversations=ConversationStore(database, UsageStore(database, PRICES)) if database else absent,
        sessions=SessionStore(database) if database else absent,
        memories=MemoryStore(database) if database else absent,
        user_stats=UserStatsStore(database) if database else absent,
        user_data=UserDataStore(database) if database else absent,
        exports=ExportStore(database) if database else absent,
        usage=UsageStore(database, PRICES) if database else absent,
        canvases=CanvasStore(database, limit=given.max_canvases, max_bytes=given.max_canvas_bytes)
        if database
        else absent,
        users=UserStore(database) if database else absent,
        notifications=NotificationStore(database) if database else absent,
        channels={},
        event_texts=load_events(),
        research=ResearchStore(database) if database else absent,
        web_search=None,
        pages=build_pages(redis, config or load_config()),
    )


def job_client(services: Services) -> JobClient:
    """Return a client over these services."""
    return JobClient(services.redis, result_ttl=services.config.result_ttl, work=services.work)


def run_jobs(services: Services) -> None:
    """Run every queued job in this process, and those that they start or wait for, in the order of the queues."""

    class LocalJob(Job):
        def _execute(self) -> Any:
            while True:
                try:
                    return run_with(services, self, *self.args)
                except Awaiting:
                    run_jobs(services)
                    make_due(services)

    class LocalWorker(SimpleWorker):
        def _set_ip_address(self, connection: "Redis") -> None:
            self.ip_address = "127.0.0.1"  # fakeredis has no CLIENT INFO

        def handle_exception(self, job: Job, *exc_info: Any) -> None:
            run_failure_hook(job, failure_of(exc_info[1]), services)

    worker = LocalWorker(list(QUEUES), connection=services.redis, job_class=LocalJob, serializer=JSONSerializer)
    worker.work(burst=True, logging_level="WARNING")


def make_due(services: Services) -> None:
    """Put every scheduled or retrying job on its queue now."""
    for name in QUEUES:
        registry = ScheduledJobRegistry(name, connection=services.redis, serializer=JSONSerializer)
        queue = Queue(name, connection=services.redis, serializer=JSONSerializer)
        for job_id in registry.get_job_ids(cleanup=False):
            registry.remove(job_id)
            queue._enqueue_job(Job.fetch(job_id, connection=services.redis, serializer=JSONSerializer))
