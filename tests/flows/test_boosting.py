"""Boosting libraries from the check of a project to the reproduction of a version, alone and in a pipeline."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from zipfile import ZipFile

import pandas as pd
import pytest

from refit.records.references import ModelRef
from tests.support.serving_home import serving
from tests.support.watched_project import START, Depot

ESTIMATORS = {
    "xgboost": "XGBClassifier(n_estimators=20)",
    "lightgbm": "LGBMClassifier(n_estimators=20, verbose=-1)",
    "catboost": "CatBoostClassifier(iterations=20)",
}
FORMATS = {"xgboost": rb"\{L.{8}Config", "lightgbm": rb"tree\\+nversion=v\d", "catboost": rb"CBM1"}
"""How the content of each library's own format begins in the stored file."""


def use_estimator(depot: Depot, library: str, *, piped: bool) -> None:
    """Writes a project that trains an estimator of the library."""
    file, call = depot.projects / "parcels.py", ESTIMATORS[library]
    text = file.read_text().replace(
        "from refit import Bud", f"from {library} import {call.split('(')[0]}\nfrom refit import Bud"
    )
    built = f"make_pipeline(StandardScaler(), {call})" if piped else call
    file.write_text(text.replace("make_pipeline(StandardScaler(), LogisticRegression())", built))


def stored_file(model: ModelRef) -> bytes:
    """All that a stored model holds, unpacked."""
    from refit_tasks.registry.model_signature import fetch_files
    from refit_tasks.registry.model_store import FILE

    with fetch_files(model) as directory, ZipFile(directory / FILE) as archive:
        assert not list(directory.glob("*.pkl"))
        return b"\n".join(archive.read(name) for name in archive.namelist())


@pytest.mark.slow
@pytest.mark.parametrize("piped", [False, True], ids=["alone", "in a pipeline"])
@pytest.mark.parametrize("library", ESTIMATORS)
def test_a_boosted_model_is_checked_trained_stored_scored_served_and_reproduced(
    depot: Depot, library: str, piped: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from refit_flows.reproduce import reproduce
    from refit_flows.score import score
    from refit_tasks.catalog import find_project
    from refit_tasks.project_check.check import check
    from refit_tasks.registry.stored_model import fetch_model

    monkeypatch.chdir(tmp_path)
    before = set(tmp_path.iterdir())
    use_estimator(depot, library, piped=piped)
    found = check(find_project("parcels"), START + timedelta(days=40))
    assert [one.sentence for one in found if not one.passed] == []

    trained = depot.retrain(40)
    assert (trained.ending, trained.challenger.version) == ("promoted", 1)
    stored = stored_file(trained.challenger.model)
    assert re.search(FORMATS[library], stored, re.DOTALL)

    assert score("parcels", as_of=START + timedelta(days=42)).scored.champion.scored > 0
    row = {"weight": 3.5, "distance": 400.0}
    with serving(depot.projects, "parcels") as running:
        answer = running.ask("parcels", {"rows": [row]}).json()
    own = fetch_model(find_project("parcels"), trained.challenger.model).predict_proba(pd.DataFrame([row]))
    assert answer["scores"] == pytest.approx([own[0, 1]], abs=1e-12)
    again = reproduce("parcels", 1)
    assert (again.reproduced, again.difference) == (True, 0.0)
    assert set(tmp_path.iterdir()) == before, "nothing is written beside the process"
