"""Prometheus metrics of one serving process, in a registry of its own."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

CONTENT_TYPE = CONTENT_TYPE_LATEST
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)


class Metrics:
    """Counters and gauges by project. Only names of served projects become labels."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.requests = self._counter("requests", "Requests by HTTP status of the response.", "project", "status")
        self.rows = self._counter("rows", "Predicted rows by model version.", "project", "version")
        self.logged = self._counter("log_written_rows", "Rows written to the predictions table.", "project")
        self.dropped = self._counter(
            "log_dropped_rows", "Predicted rows that were not logged, by reason.", "project", "why"
        )
        self.labels = self._counter("labels", "Labels received and stored.", "project")
        self.lost = self._counter("log_lost_rows", "Predicted rows lost when a server was killed, at most.", "project")
        self.log_failures = self._counter("log_failures", "Failed appends to the predictions table.", "project")
        self.ledger_failures = self._counter("ledger_failures", "Failed reads of the ledger.")
        self.waiting = self._gauge("log_waiting_rows", "Rows waiting to be logged.")
        self.version = self._gauge("champion_version", "The model version that serves.", "project")
        self.generation = self._gauge("champion_generation", "The champion generation that serves.", "project")
        self.refused_version = self._gauge(
            "champion_refused_version",
            "The champion that failed its warm-up, so that the previous version serves; 0 if none.",
            "project",
        )
        self.challenger = self._gauge(
            "challenger_version", "The shadow or canary beside the champion; 0 if none.", "project"
        )
        self.challenger_share = self._gauge(
            "challenger_share", "The share of requests that the canary answers, from 0 to 1.", "project"
        )
        self.challenger_rows = self._counter(
            "challenger_rows", "Rows predicted by a challenger.", "project", "version", "role"
        )
        self.challenger_faults = self._counter(
            "challenger_faults", "Requests that a challenger failed to answer.", "project", "version"
        )
        self.shadow_dropped = self._counter(
            "shadow_dropped_rows", "Rows dropped from the full queue of the shadow.", "project"
        )
        self.seconds = Histogram(
            "refit_serving_request_seconds",
            "Seconds from the headers of a request to its response.",
            ["project"],
            buckets=_SECONDS,
            registry=self._registry,
        )

    def render(self) -> bytes:
        """Renders all metrics in Prometheus' text format.

        Returns:
            The body of `/metrics`, in the encoding of `CONTENT_TYPE`.
        """
        return generate_latest(self._registry)

    def _counter(self, name: str, help_text: str, *labels: str) -> Counter:
        return Counter(f"refit_serving_{name}", help_text, labels, registry=self._registry)

    def _gauge(self, name: str, help_text: str, *labels: str) -> Gauge:
        return Gauge(f"refit_serving_{name}", help_text, labels, registry=self._registry)
