"""RQ: status and result are kept. `python -m bench.peers.rq_app work KIND THREADS` starts one worker process."""

import logging
import sys

from redis import Redis
from rq import Queue
from rq.serializers import JSONSerializer
from rq.worker import SimpleWorker, Worker

from bench.peers import jobs


def work(kind: str, threads: int) -> None:
    """Work until terminated."""
    logging.getLogger("rq.worker").setLevel(logging.WARNING)
    redis = Redis.from_url(jobs.URL)
    if kind == "offstage":
        from jobs.core.job import AnyJob
        from jobs.core.worker import OffstageWorker

        worker = OffstageWorker(["default"], connection=redis, job_class=AnyJob)
        worker.threads = threads
    else:
        classes = {"rq": Worker, "rq-simple": SimpleWorker}
        worker = classes[kind](["default"], connection=redis, serializer=JSONSerializer)
    worker.work(logging_level="WARNING")


if __name__ == "__main__":
    if sys.argv[1] == "work":
        work(sys.argv[2], int(sys.argv[3]))
    else:
        queue = Queue("default", connection=Redis.from_url(jobs.URL), serializer=JSONSerializer)
        jobs.enqueue_from_command_line(lambda name, args: queue.enqueue(f"bench.peers.jobs.{name}", *args))
