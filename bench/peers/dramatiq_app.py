"""dramatiq: keeps nothing, its default; with `BENCH_RESULTS` it keeps results."""

import os

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

from bench.peers import jobs

kept = bool(os.environ.get("BENCH_RESULTS"))
broker = RedisBroker(url=jobs.URL)
if kept:
    broker.add_middleware(Results(backend=RedisBackend(url=jobs.URL), store_results=True))
dramatiq.set_broker(broker)
tasks = {name: dramatiq.actor(getattr(jobs, name), actor_name=name) for name in ("noop", "wait", "stamp")}

if __name__ == "__main__":
    jobs.enqueue_from_command_line(lambda name, args: tasks[name].send(*args))
