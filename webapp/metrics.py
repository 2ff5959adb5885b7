"""`GET /metrics`: figures for Prometheus, read from Redis at each scrape. They are about all tenants together."""

from collections.abc import Iterable
from typing import Annotated

from flask import Flask, Response
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from config import QUEUES
from jobs.core.statistics import queue_statistics
from jobs.services import Services
from webapp.responses import Media

BREAKER_STATES = ("closed", "half_open", "open")


class ServiceCollector(Collector):
    """The queues, their workers, and the gate of model calls."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def collect(self) -> Iterable[Metric]:
        """Yield what there is to tell now."""
        yield from self._queues()
        yield from self._model_calls()

    def _queues(self) -> Iterable[Metric]:
        jobs = GaugeMetricFamily("offstage_jobs", "Jobs on a queue by their state.", labels=["queue", "state"])
        oldest = GaugeMetricFamily("offstage_oldest_job_seconds", "Age of the oldest queued job.", labels=["queue"])
        rate = GaugeMetricFamily("offstage_jobs_ended_per_minute", "Over the last minute.", labels=["queue"])
        workers = GaugeMetricFamily("offstage_workers", "Workers that serve a queue.", labels=["queue", "state"])
        for queue in queue_statistics(self._services.redis, QUEUES):
            for state in ("queued", "running", "scheduled"):
                jobs.add_metric([queue.name, state], getattr(queue, state))
            oldest.add_metric([queue.name], queue.oldest_seconds or 0.0)
            rate.add_metric([queue.name], queue.ended_per_minute)
            workers.add_metric([queue.name, "busy"], queue.workers.busy)
            workers.add_metric([queue.name, "idle"], queue.workers.count - queue.workers.busy)
        yield from (jobs, oldest, rate, workers)

    def _model_calls(self) -> Iterable[Metric]:
        gate = self._services.model_gate.state()
        calls = GaugeMetricFamily("offstage_model_calls", "Model calls of jobs, by what they do.", labels=["state"])
        calls.add_metric(["running"], gate.running)
        calls.add_metric(["waiting"], gate.waiting)
        breaker = GaugeMetricFamily(
            "offstage_model_breaker", "1 for the state of the endpoint's circuit breaker.", labels=["endpoint", "state"]
        )
        for state in BREAKER_STATES if gate.endpoint else ():
            breaker.add_metric([gate.endpoint, state], float(state == gate.breaker))
        yield calls
        yield GaugeMetricFamily("offstage_model_calls_limit", "Model calls of jobs at once.", value=gate.limit)
        yield GaugeMetricFamily("offstage_model_failures_in_a_row", "Of the endpoint.", value=gate.failures)
        yield breaker


def register_metrics(app: Flask, services: Services) -> None:
    """Serve `/metrics`."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(ServiceCollector(services))

    @app.get("/metrics")
    def metrics() -> Annotated[Response, Media((CONTENT_TYPE_LATEST,))]:
        """Return figures for Prometheus, for all tenants together."""
        return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)
