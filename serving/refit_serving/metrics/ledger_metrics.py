"""What Prometheus is told of flows: decisions, promotions, drift, model age, labels, budget, by the ledger alone.

The process that answers Prometheus about flows: one page, asked for by GET, and nothing behind it but the ledger.
"""

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
from refit_tasks.ledger.summary import Tallies

log = logging.getLogger(__name__)

REFRESH_SECONDS = 10.0
"""The ledger is asked no more often, however many ask us."""
COUNTERS = (
    ("decision", "refit_decisions", "What monitors and people have decided.", "action", get_args(Action)),
    ("verdict", "refit_verdicts", "Challengers judged by the gate.", "outcome", ("promote", "reject")),
    ("retrain", "refit_retrains", "Retrains that were decided on, by how they ended.", "ending", get_args(Ending)),
    ("approval", "refit_approvals", "Answers of people to challengers that waited.", "answer", ("approve", "refuse")),
    ("promotion", "refit_promotions", "Challengers that became champion.", "", ("",)),
    ("rollback", "refit_rollbacks", "Former champions that came back.", "", ("",)),
)
"""The kind of ledger entry, the counter's name, what it says, and the label and its values, if there is one."""


class LedgerCollector(Collector):
    """Gives the numbers of every project that the ledger knows."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begins with nothing.

        Args:
            clock: Counts seconds.
        """
        self._clock = clock
        self._tallies = Tallies()
        self._found: dict[str, dict[str, float | None]] = {}
        self._readable = False
        self._due = clock()
        self._alone = Lock()

    def describe(self) -> list[Metric]:
        """Tells nothing in advance: to ask would read the ledger while the server starts.

        Returns:
            An empty list.
        """
        return []

    def collect(self) -> Iterator[Metric]:
        """Reads what is new in the ledger, and gives all numbers; the former ones while it cannot be read.

        Yields:
            The metrics.
        """
        with self._alone:
            self._look()
            projects, found = dict(self._tallies.projects), self._found
            readable, newest = self._readable, self._tallies.newest[0]
        yield GaugeMetricFamily("refit_ledger_readable", "Whether the ledger could be read the last time.", readable)
        yield GaugeMetricFamily("refit_ledger_entries", "The id of the newest entry.", newest)
        yield from _counters(projects)
        yield from _gauges(found)

    def _look(self) -> None:
        if self._clock() < self._due:
            return
        try:
            self._tallies.follow()
            self._found = {project: read_gauges(tally) for project, tally in self._tallies.projects.items()}
        except RefitError as fault:
            log.warning("the numbers stand still: %s", fault)
            self._readable = False
        else:
            self._readable = True
        self._due = self._clock() + REFRESH_SECONDS


def _counters(projects: dict[str, LedgerSummary]) -> Iterator[Metric]:
    """Counts from zero: Prometheus cannot see that something rose which it sees for the first time."""
    for kind, name, about, label, outcomes in COUNTERS:
        counter = CounterMetricFamily(name, about, labels=["project", *([label] if label else [])])
        for project, tally in projects.items():
            for outcome in outcomes:
                counter.add_metric([project, *([outcome] if label else [])], tally.counts.get((kind, outcome), 0))
        yield counter


def _gauges(found: dict[str, dict[str, float | None]]) -> Iterator[Metric]:
    for reading in LEDGER_GAUGES:
        gauge = GaugeMetricFamily(reading.name, reading.about, labels=["project"])
        for project, values in found.items():
            if (value := values[reading.name]) is not None:
                gauge.add_metric([project], value)
        yield gauge


SIGNALS = (signal.SIGINT, signal.SIGTERM)


def serve_metrics(host: str, port: int, ready: Callable[[str], None]) -> None:
    """Answers until somebody asks to stop.

    Args:
        host: The address to listen at.
        port: The port; 0 for any that is free.
        ready: Called once, when the ledger is added up and requests are answered, with the address of the page.

    Raises:
        StateError: If the port is taken.
    """
    registry, stopping = CollectorRegistry(), Event()
    collector = LedgerCollector()
    registry.register(collector)
    list(collector.collect())  # a long ledger takes seconds the first time: no scrape should wait for it
    try:
        server, thread = start_http_server(port, host, registry)
    except OSError as fault:
        raise StateError(
            f"{host} port {port} cannot be listened at ({fault.strerror or fault}): name another by --host and --port"
        ) from fault
    former = {number: signal.signal(number, lambda *_: stopping.set()) for number in SIGNALS}
    try:
        ready(f"http://{host}:{server.server_port}/metrics")
        stopping.wait()
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
        server.shutdown()
        server.server_close()
        thread.join()
