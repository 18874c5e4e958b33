"""Prometheus exporter of the ledger: decisions, verdicts, promotions, and the gauges of each project's state."""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Callable, Iterator
from threading import Event, Lock
from typing import get_args

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from refit.errors import RefitError, StateError
from refit.monitoring.decisions import Action, Ending
from refit.results.ledger_summary import LedgerSummary
from refit_serving.metrics.ledger_gauges import LEDGER_GAUGES, read_gauges
from refit_tasks.ledger.summary import LedgerSummaries

log = logging.getLogger(__name__)

REFRESH_SECONDS = 10.0
"""The ledger is read at most this often, however often Prometheus scrapes."""
SIGNALS = (signal.SIGINT, signal.SIGTERM)
COUNTERS = (
    ("decision", "refit_decisions", "Decisions of monitor runs and of people, by action.", "action", get_args(Action)),
    ("verdict", "refit_verdicts", "Verdicts of the gate, by outcome.", "outcome", ("promote", "reject")),
    ("retrain", "refit_retrains", "Retrains that followed a decision, by how they ended.", "ending", get_args(Ending)),
    (
        "approval",
        "refit_approvals",
        "Challengers approved or refused, by answer.",
        "answer",
        ("approve", "refuse"),
    ),
    ("promotion", "refit_promotions", "Promotions of a challenger to champion.", "", ("",)),
    ("rollback", "refit_rollbacks", "Rollbacks to a previous champion.", "", ("",)),
)
"""Kind of the ledger entry, name of the counter, its help text, and the name and values of its label, if it has one."""


class LedgerCollector(Collector):
    """Collects the metrics of all projects in the ledger."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Reads nothing yet.

        Args:
            clock: Gives monotonic seconds.
        """
        self._clock = clock
        self._summaries = LedgerSummaries()
        self._values: dict[str, dict[str, float | None]] = {}
        self._readable = False
        self._due = clock()
        self._lock = Lock()

    def describe(self) -> list[Metric]:
        """Describes no metric in advance, since that would read the ledger when the collector is registered.

        Returns:
            An empty list.
        """
        return []

    def collect(self) -> Iterator[Metric]:
        """Reads new entries of the ledger and gives all metrics; the previous values while it cannot be read.

        Yields:
            The metrics.
        """
        with self._lock:
            self._refresh()
            projects, values = dict(self._summaries.projects), self._values
            readable, newest = self._readable, self._summaries.newest[0]
        yield GaugeMetricFamily("refit_ledger_readable", "1 if the last read of the ledger succeeded.", readable)
        yield GaugeMetricFamily("refit_ledger_entries", "The id of the newest ledger entry.", newest)
        yield from _counters(projects)
        yield from _gauges(values)

    def _refresh(self) -> None:
        if self._clock() < self._due:
            return
        try:
            self._summaries.update()
            self._values = {project: read_gauges(summary) for project, summary in self._summaries.projects.items()}
        except RefitError as fault:
            log.warning("the ledger cannot be read, so its metrics keep their previous values: %s", fault)
            self._readable = False
        else:
            self._readable = True
        self._due = self._clock() + REFRESH_SECONDS


def _counters(projects: dict[str, LedgerSummary]) -> Iterator[Metric]:
    """Gives every outcome from zero: Prometheus sees no increase in a series that it sees for the first time."""
    for kind, name, help_text, label, outcomes in COUNTERS:
        counter = CounterMetricFamily(name, help_text, labels=["project", *([label] if label else [])])
        for project, summary in projects.items():
            for outcome in outcomes:
                counter.add_metric([project, *([outcome] if label else [])], summary.counts.get((kind, outcome), 0))
        yield counter


def _gauges(values: dict[str, dict[str, float | None]]) -> Iterator[Metric]:
    for ledger_gauge in LEDGER_GAUGES:
        gauge = GaugeMetricFamily(ledger_gauge.name, ledger_gauge.help, labels=["project"])
        for project, by_name in values.items():
            if (value := by_name[ledger_gauge.name]) is not None:
                gauge.add_metric([project], value)
        yield gauge


def serve_metrics(host: str, port: int, ready: Callable[[str], None]) -> None:
    """Serves `/metrics` until SIGINT or SIGTERM.

    Args:
        host: The address to listen on.
        port: The port; 0 for any free one.
        ready: Called once with the URL of the page, when the ledger has been read and requests are answered.

    Raises:
        StateError: If the address cannot be bound, as when the port is taken.
    """
    registry, stop = CollectorRegistry(), Event()
    collector = LedgerCollector()
    registry.register(collector)
    list(collector.collect())  # the first read of a long ledger takes seconds: no scrape should wait for it
    try:
        server, thread = start_http_server(port, host, registry)
    except OSError as fault:
        raise StateError(
            f"cannot listen on {host} port {port} ({fault.strerror or fault}): choose another with --host and --port"
        ) from fault
    previous = {number: signal.signal(number, lambda *_: stop.set()) for number in SIGNALS}
    try:
        ready(f"http://{host}:{server.server_port}/metrics")
        stop.wait()
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        server.shutdown()
        server.server_close()
        thread.join()
