"""Counts of rows that a killed process has taken and not settled; those of one that lives are its own."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from refit.errors import StateError
from refit_serving.traffic.delivery_counts import DeliveryCounts, count_lost_rows

DYING = """
import os, signal
from refit_serving.traffic.delivery_counts import DeliveryCounts
parcels, letters = DeliveryCounts("parcels", "serve-1"), DeliveryCounts("letters", "serve-1")
parcels.count(accepted=100)
parcels.count(settled=60)
parcels.count(accepted=2)
letters.count(accepted=5, settled=5)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_had_not_settled_is_counted_once() -> None:
    died = subprocess.run([sys.executable, "-c", DYING], check=False)
    assert died.returncode == -signal.SIGKILL
    assert count_lost_rows() == {"parcels": 42}
    assert count_lost_rows() == {}


def test_who_lives_has_lost_nothing_and_who_ends_in_peace_leaves_nothing(home: Path) -> None:
    mine = DeliveryCounts("parcels", "serve-2")
    mine.count(accepted=7)
    assert count_lost_rows() == {}
    mine.close()
    assert count_lost_rows() == {}
    assert list((home / "serving").iterdir()) == []


def test_a_place_that_cannot_be_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REFIT_HOME", str(tmp_path))
    (tmp_path / "serving").write_text("in the way")
    with pytest.raises(StateError, match="REFIT_HOME"):
        count_lost_rows()
    with pytest.raises(StateError, match="REFIT_HOME"):
        DeliveryCounts("parcels", "serve-3")
