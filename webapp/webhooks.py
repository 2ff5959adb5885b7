"""The webhook that a request may bring along."""

from flask import g

from jobs import webhooks
from jobs.core.webhooks import Webhook, follow
from webapp.extension import offstage


def checked(url: str | None) -> Webhook | None:
    """Return the request's webhook, or None without one; a URL that may not be called is a 422."""
    return webhooks.check(offstage().services.config, url)


def attach(webhook: Webhook | None, job_id: str) -> None:
    """Have the webhook told of the job's end. A job that is forgotten already is told of by the answer alone."""
    if webhook:
        services = offstage().services
        follow(services.redis, g.tenant, job_id, webhook, ttl=services.config.result_ttl)
