"""Our enqueue writes what RQ's own would: the stock library reads, runs and lists its jobs."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from pydantic import BaseModel, SecretStr
from redis import Redis
from rq import Queue
from rq.job import Job, JobStatus
from rq.registry import ScheduledJobRegistry
from rq.serializers import JSONSerializer
from rq.utils import utcformat

from jobs.core import keys
from jobs.core.enqueue import RUN, NewJob, enqueue
from jobs.core.reuse import fingerprint

JOB = NewJob(
    id="j1",
    tenant="acme",
    type="words.repeat",
    args={"word": "好"},
    queue="default",
    description="words.repeat()",
    timeout=60,
    retries=2,
    ttl=3600,
)


def fetch(redis: Redis, job_id: str = "j1") -> Job:
    return Job.fetch(job_id, connection=redis, serializer=JSONSerializer)


def test_stock_rq_reads_the_same_job_as_from_its_own_enqueue(fake_redis: Redis) -> None:
    """Every attribute that RQ keeps is equal, but for the id and the times."""
    enqueue(fake_redis, JOB)
    Queue("default", connection=fake_redis, serializer=JSONSerializer).enqueue_call(
        RUN,
        args=["words.repeat", {"word": "好"}],
        job_id="j2",
        timeout=60,
        result_ttl=3600,
        failure_ttl=3600,
        description="words.repeat()",
        meta={"tenant": "acme", "type": "words.repeat", "retries": 2},
    )
    ours, stock = fetch(fake_redis), fetch(fake_redis, "j2")
    volatile = ("id", "created_at", "enqueued_at", "data")
    assert _comparable(ours, volatile) == _comparable(stock, volatile)
    assert (ours.func_name, ours.args, ours.kwargs) == (stock.func_name, stock.args, stock.kwargs)
    assert ours.enqueued_at
    assert abs((ours.enqueued_at - datetime.now(UTC)).total_seconds()) < 60


def test_the_job_stands_on_its_queue_and_in_its_tenants_index(fake_redis: Redis) -> None:
    """In the order of their coming, with the queue known to `rq info`."""
    for job_id in ("a", "b"):
        assert enqueue(fake_redis, replace(JOB, id=job_id)) == job_id
    queue = Queue("default", connection=fake_redis, serializer=JSONSerializer)
    assert queue.job_ids == ["a", "b"]
    assert [queue.name for queue in Queue.all(connection=fake_redis)] == ["default"]
    assert fake_redis.zrange(keys.jobs("acme"), 0, -1) == [b"a", b"b"]
    assert fetch(fake_redis, "a").get_status() is JobStatus.QUEUED


def test_an_id_is_put_on_the_queue_once(fake_redis: Redis) -> None:
    """The second enqueue changes nothing, not even the arguments."""
    assert enqueue(fake_redis, JOB) == "j1"
    assert enqueue(fake_redis, replace(JOB, args={"word": "other"})) == "j1"
    assert fake_redis.lrange("rq:queue:default", 0, -1) == [b"j1"]
    assert fetch(fake_redis).args[1] == {"word": "好"}


def test_a_job_for_later_is_scheduled(fake_redis: Redis) -> None:
    """It stands in RQ's registry with its time, and on no queue."""
    due = datetime(2030, 1, 1, tzinfo=UTC)
    enqueue(fake_redis, replace(JOB, due=due.timestamp()))
    registry = ScheduledJobRegistry("default", connection=fake_redis, serializer=JSONSerializer)
    assert registry.get_scheduled_time("j1") == due
    assert fetch(fake_redis).get_status() is JobStatus.SCHEDULED
    assert not fake_redis.exists("rq:queue:default")


@pytest.mark.parametrize("size", [10, 100_000])
def test_arguments_of_any_size_come_back(fake_redis: Redis, size: int) -> None:
    """Long ones are compressed as RQ does it, short ones are not: zlib would make them longer."""
    enqueue(fake_redis, replace(JOB, args={"word": "好" * size}))
    assert fetch(fake_redis).args[1] == {"word": "好" * size}
    assert (fake_redis.hstrlen("rq:job:j1", "data") or 0) < 1000


def test_a_request_of_the_same_fingerprint_joins_while_the_first_lives(fake_redis: Redis) -> None:
    """Queued, running, or completed a short while ago: joined. Failed, stale, another tenant's, or forced: anew."""
    same = replace(JOB, fingerprint="f", reuse_seconds=60)
    assert enqueue(fake_redis, same) == "j1"
    assert enqueue(fake_redis, replace(same, id="j2")) == "j1"
    assert enqueue(fake_redis, replace(same, id="j3", tenant="other")) == "j3"
    assert enqueue(fake_redis, replace(same, id="j4", fresh=True)) == "j4"
    now = utcformat(datetime.now(UTC))
    fake_redis.hset("rq:job:j4", mapping={"status": "finished", "ended_at": "2100-01-01T00:00:00.000000Z"})
    assert enqueue(fake_redis, replace(same, id="j5", reuse_seconds=0)) == "j5"  # by whatever clock it has ended
    for status, ended, joined in [
        ("started", "", True),
        ("finished", now, True),
        ("finished", "2020-01-01T00:00:00.000000Z", False),
        ("failed", now, False),
        ("canceled", now, False),
    ]:
        newest = enqueue(fake_redis, replace(same, id="seed" + status + ended[:4], fresh=True))
        fake_redis.hset(f"rq:job:{newest}", mapping={"status": status, "ended_at": ended})
        answer = enqueue(fake_redis, replace(same, id="next" + status + ended[:4]))
        assert (answer == newest) is joined, (status, ended)


def test_fifty_racing_requests_start_one_job(redis: Redis) -> None:
    """On a real Redis, from fifty threads."""
    same = replace(JOB, fingerprint="f", reuse_seconds=60)
    with ThreadPoolExecutor(50) as pool:
        ids = set(pool.map(lambda n: enqueue(redis, replace(same, id=f"j{n}")), range(50)))
    assert len(ids) == 1
    assert redis.llen("rq:queue:default") == 1


def test_fingerprints_do_not_depend_on_order_and_hold_no_secret() -> None:
    """Equal requests are equal; what differs differs; a secret changes nothing."""
    first = Request.model_validate_json('{"query": "为什么", "depth": 2, "key": "hunter2"}')
    second = Request.model_validate_json('{ "key": "other", "depth":2,  "query":"为什么"}')
    assert fingerprint("a.b", first) == fingerprint("a.b", second)
    assert fingerprint("a.b", first) != fingerprint("a.c", first)
    assert fingerprint("a.b", first) != fingerprint("a.b", Request(query="为什么", depth=3, key=SecretStr("")))


class Request(BaseModel):
    query: str
    depth: int
    key: SecretStr


def _comparable(job: Job, volatile: tuple[str, ...]) -> dict[str, object]:
    names = (name for name in job.to_dict() if name not in volatile)
    return {name: job.to_dict()[name] for name in names}
