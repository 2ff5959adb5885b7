"""What the views use: one object, built with the application."""

from dataclasses import dataclass
from typing import cast

from flask import current_app

from jobs.core.batches import BatchClient
from jobs.core.client import JobClient
from jobs.services import Services
from webapp.sse import EventStreams


@dataclass(frozen=True)
class Offstage:
    """The services, the clients of jobs and batches, and the event streams of this web process."""

    services: Services
    client: JobClient
    batches: BatchClient
    streams: EventStreams


def offstage() -> Offstage:
    """Return the current application's `Offstage`."""
    return cast(Offstage, current_app.extensions["offstage"])
