"""Start a worker, or the scheduler: `python worker.py [QUEUE ...] [--threads N] [--burst] | --scheduler`."""

import argparse
import logging
import signal
import sys

from config import QUEUES, ConfigError, load_config
from jobs.core.client import JobClient
from jobs.core.schedule import Scheduler
from jobs.core.spec import discover
from jobs.core.worker import OffstageWorker
from jobs.core.worker_parts.outage import until_back
from jobs.providers.redis_check import check_redis_url, connect


def main() -> int:
    """Work until told to stop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("queues", nargs="*", default=list(QUEUES), metavar="QUEUE", help="queues, the first first")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="jobs at once in this process, for I/O")
    parser.add_argument("--burst", action="store_true", help="stop when the queues are empty")
    parser.add_argument("--scheduler", action="store_true", help="move due jobs to their queues instead")
    options = parser.parse_args()
    try:
        config = load_config()
        check_redis_url(config.redis_url)
    except ConfigError as error:
        sys.exit(f"offstage: {error}")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    redis, job_types = connect(config.redis_url), discover()
    if options.scheduler:
        scheduler = Scheduler(redis)
        scheduler.keep_up(JobClient(redis, result_ttl=config.result_ttl), list(job_types.values()))
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: scheduler.stop())
        scheduler.run()
        return 0
    worker = until_back(lambda: OffstageWorker(options.queues, connection=redis, worker_ttl=config.worker_ttl))
    worker.configure(config, threads=options.threads)
    worker.work(burst=options.burst)
    return 0


if __name__ == "__main__":
    sys.exit(main())
