"""Webhooks: the secret that verifies them, and sending again."""

from flask import g
from flask_openapi3 import APIBlueprint, Tag

from jobs import webhooks
from webapp.api.jobs import JobPath
from webapp.extension import offstage
from webapp.openapi.describing import describe
from webapp.responses import Accepted, Answer, job_json
from webapp.shapes import jobs as shapes

bp = APIBlueprint("webhooks", __name__, abp_tags=[Tag(name="webhooks", description="Being told of a job's end")])


@bp.get("/webhooks/secret")
@describe(problems=(404,))
def get_secret() -> Answer[shapes.WebhookSecrets]:
    """Return the secrets that the caller's webhooks are signed with; two while the service changes its own."""
    response = Answer(shapes.WebhookSecrets(secrets=webhooks.secrets_of(offstage().services.config, g.tenant)))
    response.headers["Cache-Control"] = "no-store"
    return response


@bp.post("/jobs/<string:job_id>/webhooks/redeliver")
def redeliver(path: JobPath) -> Accepted[shapes.Deliveries]:
    """Tell an ended job's webhooks again, under the same `webhook-id`."""
    app = offstage()
    deliveries = webhooks.redeliver(app.services, app.client, g.tenant, path.job_id)
    return Accepted(shapes.Deliveries(deliveries=[job_json(view) for view in deliveries]), f"/jobs/{path.job_id}")
