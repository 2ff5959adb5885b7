"""Webhooks: the secret that verifies them, and sending again."""

from flask import Response, g, jsonify
from flask_openapi3 import APIBlueprint, Tag

from jobs import webhooks
from webapp.api.jobs import JobPath
from webapp.extension import offstage
from webapp.responses import job_json

bp = APIBlueprint("webhooks", __name__, abp_tags=[Tag(name="webhooks", description="Being told of a job's end")])


@bp.get("/webhooks/secret")
def get_secret() -> Response:
    """Return the secrets that the caller's webhooks are signed with; two while the service changes its own."""
    response = jsonify(secrets=webhooks.secrets_of(offstage().services.config, g.tenant))
    response.headers["Cache-Control"] = "no-store"
    return response


@bp.post("/jobs/<string:job_id>/webhooks/redeliver")
def redeliver(path: JobPath) -> Response:
    """Tell an ended job's webhooks again, under the same `webhook-id`."""
    app = offstage()
    deliveries = webhooks.redeliver(app.services, app.client, g.tenant, path.job_id)
    response = jsonify(deliveries=[job_json(view) for view in deliveries])
    response.status_code = 202
    return response
