"""What a whole retrain costs beyond bare scikit-learn on the same rows, and where the time goes.

Both run in this process, warm: one small retrain comes first, so that imports, databases and the server are there.
"""

from __future__ import annotations

import os
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

ROWS = 100_000
REPEATS = 3
AS_OF = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=ROWS)
PROJECT = '''
"""A table of the benchmark."""
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder

from refit import Project, TrainingPolicy
from refit.sources import parquet


def build():
    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    columns = make_column_transformer((codes, make_column_selector(dtype_exclude="number")), remainder="passthrough")
    return make_pipeline(columns, HistGradientBoostingClassifier())


project = Project(
    name="NAME", kind="classification", target="label", timestamp="seen_at", key=("row",), build=build,
    load=parquet("FILE", timestamp="seen_at"), training=TrainingPolicy(window="WINDOW"),
)
'''


def main() -> None:
    """Prints the ratio and the steps."""
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        os.environ["REFIT_HOME"], os.environ["REFIT_PROJECTS"] = str(root / "home"), str(root / "projects")
        (root / "projects").mkdir()
        from benchmarks.rows import write
        from refit_infra.settings import Settings, apply_environment

        apply_environment(Settings())
        write(root / "small.parquet", 2_000)
        write(root / "large.parquet", ROWS)
        names = {"warm_up": ("small", "all")}
        names |= {f"{window}_{turn}": ("large", window) for window in ("all", "auto") for turn in range(REPEATS)}
        for name, (file, window) in names.items():
            text = PROJECT.replace("NAME", name).replace("FILE", str(root / f"{file}.parquet"))
            (root / "projects" / f"{name}.py").write_text(text.replace("WINDOW", window))
        _measure(list(names))


def _measure(names: list[str]) -> None:
    from refit_flows.retrain import retrain

    retrain(names[0], as_of=AS_OF)
    bare = sorted(_bare(names[1]) for _ in range(REPEATS))[REPEATS // 2]
    print(f"bare scikit-learn fit and predict, {ROWS:,} rows x 20 columns: {bare:.2f} s (median of {REPEATS})")
    for window in ("all", "auto"):
        outcomes = [retrain(name, as_of=AS_OF) for name in names if name.startswith(window)]
        outcome = sorted(outcomes, key=lambda done: done.seconds)[REPEATS // 2]
        print(
            f"\nretrain with window={window!r}: {outcome.seconds:.2f} s, {outcome.seconds / bare:.1f} x bare, "
            f"{outcome.seconds - bare:.2f} s above it (median of {REPEATS})"
        )
        for step, seconds in _steps(outcome.run_id):
            print(f"  {step:<16}{seconds:6.2f} s")


def _bare(name: str) -> float:
    from refit_tasks.catalog import find_project

    definition = find_project(name)
    import pandas as pd

    rows = pd.concat(piece.to_pandas() for piece in definition.load(_everything()))
    split = len(rows) - definition.training.holdout_rows
    features = rows[definition.features_of(rows.columns)]
    started = time.perf_counter()
    model = definition.build().fit(features[:split], rows["label"][:split])
    model.predict_proba(features[split:])
    return time.perf_counter() - started


def _everything():  # noqa: ANN202 - the type is refit's, imported late
    from refit import Window

    return Window(datetime(2026, 1, 1, tzinfo=UTC), AS_OF)


def _steps(run_id: str) -> list[tuple[str, float]]:
    """The duration of each task of a flow run, as Prefect recorded it, and what the flow did in between."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

    time.sleep(10)  # records reach the server some seconds late
    with get_client(sync_client=True) as client:
        runs = client.read_task_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[UUID(run_id)])))
    ordered = sorted(runs, key=lambda run: run.start_time)
    return [(run.name.rsplit("-", 1)[0], run.total_run_time.total_seconds()) for run in ordered]


if __name__ == "__main__":
    main()
