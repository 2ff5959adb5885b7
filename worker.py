"""Start a worker, or the scheduler: `python worker.py [QUEUE ...] [--threads N] [--burst] | --scheduler`."""

import argparse
import logging
import signal
import sys
import time
from collections.abc import Iterable

from redis import Redis

from config import QUEUES, Config, ConfigError, load_config
from jobs.core.client import JobClient
from jobs.core.schedule import Scheduler
from jobs.core.schedule_file import read_schedules
from jobs.core.schedules import ScheduleStarter
from jobs.core.spec import JobType, discover
from jobs.core.worker import OffstageWorker
from jobs.core.worker_parts.outage import until_back
from jobs.providers.redis_check import check_redis_url, connect
from jobs.stores.database import Database
from jobs.stores.schedules import Schedule, ScheduleStore
from jobs.stores.work import WorkStore


def main() -> int:
    """Work until told to stop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("queues", nargs="*", default=list(QUEUES), metavar="QUEUE", help="queues, the first first")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="jobs at once in this process, for I/O")
    parser.add_argument("--burst", action="store_true", help="stop when the queues are empty")
    parser.add_argument("--scheduler", action="store_true", help="move due jobs to their queues instead")
    options = parser.parse_args()
    job_types = discover()
    try:
        config = load_config()
        schedules = read_schedules(config, time.time()) if options.scheduler else []
        check_redis_url(config.redis_url)
    except ConfigError as error:
        sys.exit(f"offstage: {error}")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    redis = connect(config.redis_url)
    if options.scheduler:
        _schedule(config, redis, job_types.values(), schedules)
        return 0
    worker = until_back(lambda: OffstageWorker(options.queues, connection=redis, worker_ttl=config.worker_ttl))
    worker.configure(config, threads=options.threads)
    worker.work(burst=options.burst)
    return 0


def _schedule(config: Config, redis: Redis, job_types: Iterable[JobType], schedules: list[Schedule]) -> None:
    """Run the scheduler until SIGTERM or SIGINT."""
    scheduler, database = Scheduler(redis), Database(config.sqlalchemy_url)
    scheduler.keep_up(JobClient(redis, result_ttl=config.result_ttl), list(job_types))
    client = JobClient(redis, result_ttl=config.result_ttl, work=WorkStore(database))
    scheduler.keep_schedules(ScheduleStarter(ScheduleStore(database), client, file=schedules))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: scheduler.stop())
    scheduler.run()


if __name__ == "__main__":
    sys.exit(main())
