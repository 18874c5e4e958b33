"""How often one monitor run and one retrain ask the ledger, MLflow's registry and the table store: not again and again.

The limits are what is needed; a flow that reads once more what it has read already goes beyond them.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.support.trip_counter import count_trips
from tests.support.watched_project import Depot


def test_a_flow_reads_once_what_it_needs(tmp_path: Path, prefect_server: None, monkeypatch: pytest.MonkeyPatch) -> None:
    depot = Depot(tmp_path)
    monkeypatch.setenv("REFIT_PROJECTS", str(depot.projects))
    depot.monitor(40)

    with count_trips() as trips:
        assert depot.monitor(46).decision.action == "wait"
    assert trips <= Counter(queries=21, transactions=11, registry=1, tracking=5, opens=9)
    with count_trips() as trips:
        assert depot.monitor(46).nothing_new
    assert trips <= Counter(queries=9, transactions=7, registry=1, tracking=0, opens=4)
    with count_trips() as trips:
        assert depot.retrain(60).promotion is not None
    assert trips <= Counter(queries=33, transactions=17, registry=14, tracking=68, opens=15)
    assert min(trips.values()) > 0, "nothing was counted"
