"""Who comes first: queues by order with a share for the lower ones, tenants in turns."""

from collections import Counter

import pytest
from redis import Redis
from rq import Queue
from rq.serializers import JSONSerializer

from jobs.core import keys
from jobs.core.client import JobClient
from tests.integration.worker import kinds, tasks
from tests.integration.worker.fleet import Fleet, eventually

assert kinds


def push(redis: Redis, queue: Queue, tenant: str, count: int) -> list[str]:
    """Enqueue plain jobs as a tenant's, with their hints."""
    ids = []
    for _ in range(count):
        with redis.pipeline() as pipeline:
            job = queue.enqueue(tasks.trace, meta={"tenant": tenant}, pipeline=pipeline)
            pipeline.rpush(f"{keys.fair(queue.name)}:{tenant}", job.id)
            pipeline.zadd(keys.fair(queue.name), {tenant: 0}, nx=True)
            pipeline.execute()
        ids.append(job.id)
    return ids


def starts(redis: Redis) -> list[str]:
    """Job ids in the order of their start."""
    found = {}
    for key in redis.scan_iter("ledger:*", count=10_000):
        found[key.decode().partition(":")[2]] = float(redis.lindex(key, 0).split()[1])
    return sorted(found, key=lambda job_id: found[job_id])


def run_all(fleet: Fleet, *queues: str, **options: object) -> None:
    """Work until the queues are empty."""
    worker = fleet.start([*queues], **{"work": {"burst": True}, **options})
    assert worker.process.wait(60) == 0


def test_a_flood_of_one_tenant_delays_anothers_first_job_by_one(redis: Redis, queue: Queue, fleet: Fleet) -> None:
    """With one slot: at most one job of each other tenant starts before."""
    push(redis, queue, "flood", 300)
    [second] = push(redis, queue, "small", 1)
    [third] = push(redis, queue, "other", 1)
    run_all(fleet, "default")
    order = starts(redis)
    assert len(order) == 302
    assert order.index(second) <= 2
    assert order.index(third) <= 2
    assert not redis.keys("offstage:fair:*")


def test_tenants_take_turns(redis: Redis, queue: Queue, fleet: Fleet) -> None:
    """While three have jobs, each gets a third."""
    owners = {job_id: tenant for tenant in "abc" for job_id in push(redis, queue, tenant, 60)}
    run_all(fleet, "default")
    turns = Counter(owners[job_id] for job_id in starts(redis)[:90])
    assert all(29 <= count <= 31 for count in turns.values())


def test_jobs_of_one_tenant_keep_their_order(redis: Redis, queue: Queue, fleet: Fleet) -> None:
    """Turns change nothing within a tenant."""
    ids = push(redis, queue, "a", 30)
    push(redis, queue, "b", 30)
    run_all(fleet, "default")
    assert [job_id for job_id in starts(redis) if job_id in set(ids)] == ids


def test_coming_back_with_one_job_at_a_time_gains_nothing(redis: Redis, queue: Queue, fleet: Fleet) -> None:
    """A tenant whose list was empty for a moment does not overtake one that waits."""
    push(redis, queue, "flood", 40)
    push(redis, queue, "drip", 1)
    for _ in range(20):  # each run takes two jobs, and the drip comes back after each
        worker = fleet.start(["default"], work={"max_jobs": 2, "burst": True})
        assert worker.process.wait(30) == 0
        push(redis, queue, "drip", 1)
        if len(starts(redis)) >= 16:
            break
    owners = [redis.hget(f"rq:job:{job_id}", "meta") for job_id in starts(redis)]
    drips = sum(1 for meta in owners if meta and b"drip" in meta)
    assert drips <= len(owners) // 2 + 1


def test_hints_that_are_stale_do_no_harm(redis: Redis, queue: Queue, fleet: Fleet) -> None:
    """Ids that are canceled or were taken by RQ's own worker are skipped, requeued ones without hints run."""
    gone, kept = push(redis, queue, "a", 5), push(redis, queue, "b", 5)
    for job_id in gone[:4]:
        job = queue.fetch_job(job_id)
        assert job is not None
        job.cancel()
    unhinted = [queue.enqueue(tasks.trace).id, queue.enqueue(tasks.trace, meta={"tenant": "a"}).id]
    run_all(fleet, "default")
    assert set(starts(redis)) == {gone[4], *kept, *unhinted}
    assert not redis.keys("offstage:fair:*")


@pytest.mark.parametrize("share", [4, 10])
def test_a_full_high_queue_leaves_a_share_to_the_lower_ones(redis: Redis, fleet: Fleet, share: int) -> None:
    """Every so many jobs come from a lower queue, in turns."""
    owners = {}
    for name in ("high", "default", "low"):
        queue = Queue(name, connection=redis, serializer=JSONSerializer)
        for job in queue.enqueue_many([Queue.prepare_data(tasks.trace) for _ in range(200)]):
            owners[job.id] = name
    run_all(fleet, "high", "default", "low", set={"lower_queue_share": share}, work={"burst": True, "max_jobs": 160})
    counts = Counter(owners[job_id] for job_id in starts(redis))
    assert sum(counts.values()) == 160
    assert abs(counts["low"] - 160 / share / 2) <= 2
    assert abs(counts["default"] - 160 / share / 2) <= 2


def test_the_client_gives_the_hints(redis: Redis, fleet: Fleet) -> None:
    """Jobs started by `JobClient` take turns, too, and leave no hints behind."""
    client = JobClient(redis, result_ttl=60)
    flood = [client.start("probe.noop", {}, tenant="flood") for _ in range(50)]
    late = client.start("probe.noop", {}, tenant="late")
    fleet.start(["default"], types=True, work={"max_jobs": 4, "burst": True}).process.wait(30)
    assert client.get("late", late).state == "completed"
    fleet.start(["default"], types=True)
    eventually(lambda: client.get("flood", flood[-1]).state == "completed", 20)
    eventually(lambda: not redis.keys("offstage:fair:*"))
