"""Operation: is it alive, is it ready."""

from flask_openapi3 import APIBlueprint, Tag

from webapp.extension import offstage
from webapp.responses import Answer, Unready
from webapp.shapes import operation as shapes

bp = APIBlueprint("ops", __name__, abp_tags=[Tag(name="operation", description="Health")])


@bp.get("/livez")
def livez() -> Answer[shapes.Alive]:
    """Say that this process answers; touches nothing else."""
    return Answer(shapes.Alive(status="ok"))


@bp.get("/health")
def health() -> Answer[shapes.Alive]:
    """Say that this process answers; touches nothing else."""
    return Answer(shapes.Alive(status="ok"))


@bp.get("/readyz")
def readyz() -> Answer[shapes.Readiness] | Unready[shapes.Readiness]:
    """Say whether Redis and the database answer: 200, or 503 with the one that does not."""
    checks = shapes.Checks(redis=_redis_answers(), database=offstage().services.database.answers())
    if not all(checks.values()):
        return Unready(shapes.Readiness(status="unavailable", checks=checks))
    return Answer(shapes.Readiness(status="ok", checks=checks))


def _redis_answers() -> bool:
    try:
        return bool(offstage().services.redis.ping())
    except Exception:
        return False
