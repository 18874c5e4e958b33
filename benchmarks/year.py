"""A year of real requests and labels through HTTP: what is answered, beside the first champion left alone.

Needs `REFIT_REAL_DATA`, the directory of the real tables; takes some ten minutes.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from tests.support.paths import REAL_PROJECTS
from tests.support.serving_home import logged, serving
from tests.support.year_of_requests import KEY, NAME, OPENING, TARGET, Replayed, real_rows, replay

END, EVERY = datetime(2013, 1, 1, tzinfo=UTC), timedelta(days=14)


def main() -> None:
    """Prints each look of the monitor, the error until then, and the error that the first champion would have made."""
    if "REFIT_REAL_DATA" not in os.environ:
        sys.exit("the real tables are not given: name their directory in REFIT_REAL_DATA")
    with tempfile.TemporaryDirectory() as directory:
        os.environ.update(REFIT_HOME=f"{directory}/home", REFIT_PROJECTS=str(REAL_PROJECTS), OMP_NUM_THREADS="1")
        from refit_infra.settings import Settings, apply_environment

        apply_environment(Settings())
        rows = real_rows(Path(os.environ["REFIT_REAL_DATA"]))
        _replay(rows)


def _replay(rows: pd.DataFrame) -> None:
    from refit_flows.retrain import retrain
    from refit_tasks.catalog import find_project
    from refit_tasks.registry.stored_model import fetch_model

    first = retrain(NAME, as_of=OPENING).promotion
    assert first is not None
    model = fetch_model(find_project(NAME), first.model)
    with serving(REAL_PROJECTS, NAME) as server:
        done = replay(server.address, rows, OPENING, END, EVERY)
    asked = rows[rows[KEY] >= OPENING].reset_index(drop=True)
    alone = np.abs(asked[TARGET] - model.predict(asked[list(model.feature_names_in_)]))
    _print(done, asked, alone)


def _print(done: Replayed, asked: pd.DataFrame, alone: pd.Series) -> None:
    since = OPENING
    for look, (until, error) in zip(done.looks, done.errors, strict=True):
        here = alone[(asked[KEY] >= since) & (asked[KEY] < until)].mean()
        promotion = look.retrain.promotion if look.retrain else look.rolled_back
        then = f"version {promotion.version} serves" if promotion else ""
        print(f"{until:%Y-%m-%d}  error {error:6.1f}, left alone {here:6.1f}  {look.decision.action:8} {then}")
        since = until
    log = logged(NAME)
    answered = asked.set_index(KEY)[TARGET].reindex(log[f"key__{KEY}"]).to_numpy() - log["prediction"].to_numpy()
    print(f"mean absolute error of what was answered {np.abs(answered).mean():.1f}, left alone {alone.mean():.1f}")
    print(f"requests by version {dict(Counter(done.versions))}; {len(log):,} rows logged of {len(asked):,}, ")
    print(f"{log[f'key__{KEY}'].nunique():,} of them different")


if __name__ == "__main__":
    main()
