"""The web side: it checks a request, starts a job, and answers at once."""

from functools import partial
from typing import Any

from flask import Flask
from flask.json.provider import DefaultJSONProvider
from flask_openapi3 import OpenAPI
from pydantic import BaseModel

from config import Config, load_config
from jobs.core.batches import BatchClient
from jobs.core.client import JobClient
from jobs.core.runner import run_failure_hook
from jobs.core.spec import CANCELED, discover
from jobs.providers.redis_check import WEB_TIMEOUT, connect
from jobs.services import Services, build_services
from webapp.api import (
    agents,
    canvases,
    chat,
    documents,
    jobs,
    memory,
    notifications,
    ops,
    research,
    schedules,
    statistics,
    usage,
    user_data,
    webhooks,
)
from webapp.api import batches as batches_api
from webapp.auth import register_auth
from webapp.console import bp as console
from webapp.cors import register_cors
from webapp.dashboard import register_dashboard
from webapp.errors import invalid, register_errors
from webapp.extension import Offstage
from webapp.idempotency import register_idempotency
from webapp.metrics import register_metrics
from webapp.openapi.document import register_openapi
from webapp.rendering import Renderer
from webapp.requests import StrictRequest, register_limits
from webapp.sse import EventHub, EventStreams

BLUEPRINTS = (
    documents.bp,
    jobs.bp,
    batches_api.bp,
    schedules.bp,
    statistics.bp,
    webhooks.bp,
    notifications.bp,
    chat.bp,
    memory.bp,
    user_data.bp,
    canvases.bp,
    agents.bp,
    usage.bp,
    research.bp,
    ops.bp,
)


class _Json(DefaultJSONProvider):
    """JSON as it is sent: texts as they are, members in their order, models as their data."""

    ensure_ascii = False
    sort_keys = False

    @staticmethod
    def default(value: Any) -> Any:
        """Return what is no JSON by itself as data that is."""
        return value.model_dump(mode="json") if isinstance(value, BaseModel) else DefaultJSONProvider.default(value)


class _App(OpenAPI):
    request_class = StrictRequest
    json_provider_class = _Json


def create_app(config: Config | None = None, services: Services | None = None) -> Flask:
    """Return the application. Nothing connects before the first request.

    Raises:
        ConfigError: a setting is missing or wrong.
    """
    config = config or (services.config if services else load_config())
    services = services or build_services(config, connect(config.redis_url, timeout=WEB_TIMEOUT))
    app = _App(
        __name__,
        validation_error_callback=invalid,
        doc_ui=False,
        static_folder=None,
    )
    discover()
    tell = partial(run_failure_hook, failure=CANCELED, services=services)
    client = JobClient(services.redis, result_ttl=config.result_ttl, on_canceled=tell, work=services.work)
    batches = BatchClient(services.redis, result_ttl=config.result_ttl, work=services.work)
    hub = EventHub(services.redis, config.max_streams, config.tenant_streams)
    streams, renderer = EventStreams(services.redis, client, hub), Renderer(config.pdf_font)
    app.extensions["offstage"] = Offstage(services, client, batches, streams, renderer)
    register_cors(app, config)
    register_limits(app, config)
    register_auth(app, config)
    register_idempotency(app, services.requests)
    register_errors(app)
    register_dashboard(app, config, services.redis)
    register_metrics(app, services)
    register_openapi(app, config)
    for blueprint in BLUEPRINTS:
        app.register_api(blueprint)
    app.register_blueprint(console)
    return app
