"""What the views use: one object, built with the application."""

from dataclasses import dataclass
from typing import cast

from flask import current_app

from jobs.core.batches import BatchClient
from jobs.core.client import JobClient
from jobs.services import Services
from webapp.rendering import Renderer
from webapp.sse import EventStreams


@dataclass(frozen=True)
class Offstage:
    """The services, the clients of jobs and batches, and this web process's event streams and PDFs."""

    services: Services
    client: JobClient
    batches: BatchClient
    streams: EventStreams
    renderer: Renderer


def offstage() -> Offstage:
    """Return the current application's `Offstage`."""
    return cast(Offstage, current_app.extensions["offstage"])
