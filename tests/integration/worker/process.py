"""A worker process for tests: `python -m tests.integration.worker.process JSON`."""

import importlib
import json
import logging
import sys
from typing import Any

from redis import Redis
from rq import Worker
from rq.serializers import JSONSerializer

from jobs.core.job import AnyJob
from jobs.core.worker import OffstageWorker


class PlainWorker(OffstageWorker):
    """Our worker for plain RQ jobs, callbacks and all."""

    job_class = AnyJob


def build(options: dict[str, Any], connection: "Redis") -> Worker:
    """Return the worker that the options ask for; `kind` is `stock`, `ours` or `threads`."""
    if options["kind"] == "stock":
        worker = Worker(
            options["queues"],
            connection=connection,
            serializer=JSONSerializer,
            name=options.get("name"),
            job_monitoring_interval=1,
        )
        worker.kill_after = 0.0
        return worker
    worker_class = OffstageWorker if options.get("types") else PlainWorker
    ours = worker_class(options["queues"], connection=connection, name=options.get("name"))
    ours.threads = options.get("threads", 4 if options["kind"] == "threads" else 1)
    ours.kill_after = 1.0
    for name, value in options.get("set", {}).items():
        setattr(ours, name, value)
    return ours


def main() -> None:
    """Work."""
    options = json.loads(sys.argv[1])
    logging.getLogger("rq.worker").setLevel(logging.WARNING)
    if options.get("types"):
        importlib.import_module("tests.integration.worker.kinds")
    worker = build(options, Redis.from_url(options["url"]))
    worker.work(**{"logging_level": "WARNING", **options.get("work", {})})


if __name__ == "__main__":
    main()
