"""How things go: the queues, and what became of jobs by kind."""

from flask import g
from flask_openapi3 import APIBlueprint, Tag

from config import QUEUES
from jobs.core.spec import discover
from jobs.core.statistics import by_kind, queue_statistics
from webapp.extension import offstage
from webapp.responses import Answer
from webapp.shapes import operation as shapes

bp = APIBlueprint("statistics", __name__, abp_tags=[Tag(name="statistics", description="Queues, and jobs by kind")])


@bp.get("/queues")
def queues() -> Answer[shapes.Queues]:
    """Return each queue's depth, the age of its oldest job, its rate and its workers, for all tenants together."""
    return Answer(shapes.Queues(queues=queue_statistics(offstage().services.redis, QUEUES)))


@bp.get("/model")
def model() -> Answer[shapes.Model]:
    """Return how the language model stands: its jobs' calls under way, waiting and at most, and its circuit breaker."""
    services = offstage().services
    gate = services.model_gate.state()
    return Answer(
        shapes.Model(
            model=services.llm.model if services.llm else None,
            limit=gate.limit,
            running=gate.running,
            waiting=gate.waiting,
            endpoint=gate.endpoint,
            breaker=gate.breaker,
            failures=gate.failures,
            tries_in=gate.tries_in,
        )
    )


@bp.get("/job-stats")
def job_statistics() -> Answer[shapes.JobStatistics]:
    """Return how many attempts of the caller's jobs ended, failed and why, and how long they took, by job type."""
    return Answer(shapes.JobStatistics(job_types=by_kind(offstage().services.redis, g.tenant, discover())))
