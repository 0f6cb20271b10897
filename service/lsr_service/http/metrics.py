"""Prometheus metrics, in a registry of their own.

Labels are route templates and index names, both closed sets: never a path, an id or a query.
"""

from __future__ import annotations

from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.process_collector import ProcessCollector

from lsr_service.engine.admission import WorkPool
from lsr_service.engine.engine import Engine

_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Metrics:
    """The metrics of one server."""

    def __init__(self, engine: Engine, pool: WorkPool) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = Counter(
            "lsr_http_requests", "Answers given.", ["route", "status"], registry=self.registry
        )
        self.request_seconds = Histogram(
            "lsr_http_request_seconds",
            "From the first byte of a request to the last of its answer.",
            ["route"],
            buckets=_BUCKETS_S,
            registry=self.registry,
        )
        self.search_seconds = Histogram(
            "lsr_search_seconds",
            "Encoding and search of one query, without waiting.",
            ["index"],
            buckets=_BUCKETS_S,
            registry=self.registry,
        )
        admitted = Gauge("lsr_admitted", "Requests that run or wait.", registry=self.registry)
        admitted.set_function(lambda: pool.admitted)
        capacity = Gauge("lsr_capacity", "Requests that may run or wait.", registry=self.registry)
        capacity.set(pool.capacity)
        documents = Gauge("lsr_documents", "Documents.", ["index"], registry=self.registry)
        generation = Gauge("lsr_generation", "Generation.", ["index"], registry=self.registry)
        for served in engine:
            if served.retriever is not None:
                figure = partial(_figure, engine, served.name)
                documents.labels(served.name).set_function(partial(figure, "n_docs"))
                generation.labels(served.name).set_function(partial(figure, "generation"))

    def text(self) -> bytes:
        """Return all metrics in the Prometheus text format."""
        return generate_latest(self.registry)


def _figure(engine: Engine, name: str, attribute: str) -> float:
    return float(getattr(engine.retriever(name).index, attribute))
