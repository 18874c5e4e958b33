"""The whole loop on real rows: a server is asked, labels come back, the monitor decides, and the server follows.

Seven weeks of it; `python -m benchmarks year` replays all of 2012.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pandas as pd
import pytest

from refit_tasks.ledger.generations import current_champion
from refit_tasks.storage.delta import open_table, read
from tests.support.paths import REAL_PROJECTS
from tests.support.serving_home import logged, serving
from tests.support.year_of_requests import KEY, NAME, OPENING, TARGET, real_rows, replay

DAYS, EVERY = timedelta(days=49), timedelta(days=21)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own in place of the module's."""
    monkeypatch.setenv("REFIT_HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir(mode=0o700)
    return tmp_path / "home"


@pytest.mark.slow
def test_the_champion_is_kept_right_by_what_its_server_is_asked(
    home: Path, prefect_server: None, real_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from refit_flows.retrain import retrain

    monkeypatch.setenv("REFIT_REAL_DATA", str(real_data))
    monkeypatch.setenv("REFIT_PROJECTS", str(REAL_PROJECTS))
    rows = real_rows(real_data)
    retrain(NAME, as_of=OPENING)
    with serving(REAL_PROJECTS, NAME) as server:
        done = replay(server.address, rows, OPENING, OPENING + DAYS, EVERY)

    promoted = [look.retrain.promotion for look in done.looks if look.retrain and look.retrain.promotion]
    champion = current_champion(NAME)
    assert champion is not None
    assert [one.version for one in promoted] == sorted(set(done.versions) - {1})
    assert done.versions == sorted(done.versions), "nobody answers after it was replaced"
    assert done.versions[-1] == champion.version > 1
    assert done.errors[-1][1] < 0.7 * done.errors[-2][1]

    asked = rows[(rows[KEY] >= OPENING) & (rows[KEY] < OPENING + DAYS)]
    log = logged(NAME)
    assert sorted(log[f"key__{KEY}"]) == sorted(asked[KEY])
    table = open_table(NAME)
    assert table is not None
    held = pd.concat([part.to_pandas() for part in read(table, [KEY, TARGET])]).set_index(KEY)[TARGET]
    assert held[list(asked[KEY])].tolist() == asked[TARGET].tolist()
