"""A doctor that never stops, beside a retrain and a monitor that live: it does them no harm."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.watched_project import Depot, begin, recorded

LOOP = """
import sys, time
from pathlib import Path
from refit_tasks.maintenance.doctor import repair_state

found, rounds = [], 0
while not Path(sys.argv[1]).exists():
    found += repair_state()
    rounds += 1
    time.sleep(0.1)  # or it would keep a whole core from those it is beside
print([finding.sentence for finding in found], rounds > 5)
"""


@pytest.mark.slow
def test_a_doctor_beside_living_runs_does_no_harm(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch, prefect_server: None
) -> None:
    from refit_tasks.ledger.record import verify_ledger
    from refit_tasks.maintenance.doctor import repair_state

    depot = Depot(tmp_path)
    monkeypatch.setenv("REFIT_PROJECTS", str(depot.projects))
    done = tmp_path / "done"
    with begin("-c", LOOP, str(done)) as doctor:
        assert depot.retrain(40).promotion is not None
        depot.monitor(45)
        assert depot.retrain(60).challenger.version == 2
        done.touch()
        found, complaint = doctor.communicate(timeout=120)
    assert found.strip() == "[] True", complaint
    assert [one["ending"] for one in recorded("retrain")] == ["promoted", "promoted"]
    assert repair_state() == []
    verify_ledger()
