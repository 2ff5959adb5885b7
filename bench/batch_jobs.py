"""The job type of the batch measurement, for the web server and for the worker (`python -m bench.batch_jobs`)."""

import os

from flask import Flask
from pydantic import BaseModel
from redis import Redis

import webapp
from jobs.core.context import JobContext
from jobs.core.spec import job
from jobs.core.worker import OffstageWorker

TYPE = "bench.noop"


class Nothing(BaseModel):
    """No arguments."""


@job(TYPE, public=True)
def noop(ctx: JobContext, args: Nothing) -> None:
    """Do nothing."""


def create_app() -> Flask:
    """Return the application; it knows this module's job type."""
    return webapp.create_app()


if __name__ == "__main__":
    OffstageWorker(["default"], connection=Redis.from_url(os.environ["REDIS_URL"])).work(logging_level="WARNING")
