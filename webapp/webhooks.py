"""The webhook that a request may bring along."""

from jobs import webhooks
from jobs.core.webhooks import Webhook
from webapp.extension import offstage


def checked(url: str | None) -> Webhook | None:
    """Return the request's webhook, or None without one; a URL that may not be called is a 422."""
    return webhooks.check(offstage().services.config, url)
