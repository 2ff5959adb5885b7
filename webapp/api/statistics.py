"""How things go: the queues, and what became of jobs by kind."""

from flask import Response, g, jsonify
from flask_openapi3 import APIBlueprint, Tag

from config import QUEUES
from jobs.core.spec import discover
from jobs.core.statistics import by_kind, queue_statistics
from webapp.extension import offstage

bp = APIBlueprint("statistics", __name__, abp_tags=[Tag(name="statistics", description="Queues, and jobs by kind")])


@bp.get("/queues")
def queues() -> Response:
    """Return each queue's depth, the age of its oldest job, its rate and its workers, for all tenants together."""
    found = queue_statistics(offstage().services.redis, QUEUES)
    return jsonify(queues=[queue.model_dump(mode="json") for queue in found])


@bp.get("/model")
def model() -> Response:
    """Return how the language model stands: its jobs' calls under way, waiting and at most, and its circuit breaker."""
    services = offstage().services
    return jsonify(model=services.llm.model if services.llm else None, **vars(services.model_gate.state()))


@bp.get("/job-stats")
def job_statistics() -> Response:
    """Return how many attempts of the caller's jobs ended, failed and why, and how long they took, by job type."""
    found = by_kind(offstage().services.redis, g.tenant, discover())
    return jsonify(job_types=[kind.model_dump(mode="json") for kind in found])
