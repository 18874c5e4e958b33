"""What Prometheus is told; each server has a registry of its own."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

CONTENT_TYPE = CONTENT_TYPE_LATEST
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)


class Metrics:
    """Counters and gauges by project; a name that is no project's is never a label."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.requests = self._counter("requests", "Requests answered, by HTTP status.", "project", "status")
        self.rows = self._counter("rows", "Rows answered, by version.", "project", "version")
        self.logged = self._counter("log_written_rows", "Rows written to the predictions table.", "project")
        self.dropped = self._counter("log_dropped_rows", "Rows answered and not logged.", "project", "why")
        self.labels = self._counter("labels", "Labels that came back and are on disk.", "project")
        self.lost = self._counter("log_lost_rows", "Rows that a killed server took with it, at most.", "project")
        self.log_failures = self._counter("log_failures", "Appends to the predictions table that failed.", "project")
        self.ledger_failures = self._counter("ledger_failures", "Questions to the ledger that failed.")
        self.waiting = self._gauge("log_waiting_rows", "Rows that wait to be logged.")
        self.version = self._gauge("champion_version", "The version that answers.", "project")
        self.generation = self._gauge("champion_generation", "The generation that answers.", "project")
        self.refused = self._gauge(
            "champion_refused_version",
            "The champion that failed its warm-up, so that another answers; 0 if none.",
            "project",
        )
        self.challenger = self._gauge("challenger_version", "The challenger beside the champion; 0 if none.", "project")
        self.share = self._gauge("challenger_share", "The share of the requests that it answers.", "project")
        self.tried = self._counter("challenger_rows", "Rows answered by a challenger.", "project", "version", "role")
        self.faults = self._counter("challenger_faults", "Requests that a challenger failed on.", "project", "version")
        self.unheard = self._counter("shadow_dropped_rows", "Rows that a shadow had no time for.", "project")
        self.seconds = Histogram(
            "refit_serving_request_seconds",
            "From the request's headers to its answer.",
            ["project"],
            buckets=_SECONDS,
            registry=self._registry,
        )

    def page(self) -> bytes:
        """Gives all of it in Prometheus' text form.

        Returns:
            The page.
        """
        return generate_latest(self._registry)

    def _counter(self, name: str, help_text: str, *labels: str) -> Counter:
        return Counter(f"refit_serving_{name}", help_text, labels, registry=self._registry)

    def _gauge(self, name: str, help_text: str, *labels: str) -> Gauge:
        return Gauge(f"refit_serving_{name}", help_text, labels, registry=self._registry)
