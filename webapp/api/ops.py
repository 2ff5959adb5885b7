"""Operation: is it alive, is it ready."""

from flask import Response, jsonify
from flask_openapi3 import APIBlueprint, Tag

from webapp.extension import offstage

bp = APIBlueprint("ops", __name__, abp_tags=[Tag(name="operation", description="Health")])


@bp.get("/livez")
def livez() -> Response:
    """Say that this process answers; touches nothing else."""
    return jsonify(status="ok")


@bp.get("/health")
def health() -> Response:
    """Say that this process answers; touches nothing else."""
    return jsonify(status="ok")


@bp.get("/readyz")
def readyz() -> Response:
    """Say whether Redis and the database answer: 200, or 503 with the one that does not."""
    checks = {"redis": _redis_answers(), "database": offstage().services.database.answers()}
    response = jsonify(status="ok" if all(checks.values()) else "unavailable", checks=checks)
    response.status_code = 200 if all(checks.values()) else 503
    return response


def _redis_answers() -> bool:
    try:
        return bool(offstage().services.redis.ping())
    except Exception:
        return False
