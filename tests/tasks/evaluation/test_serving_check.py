"""The serving check: a stored model predicts in a fresh process, for every variant of its input."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder

from refit.gate.serving_parity import check_parity
from refit_tasks.evaluation import serving_check
from refit_tasks.evaluation.serving_check import check_serving_of_directory
from refit_tasks.registry.model_store import save_model
from tests.support.checked_models import ROWS, definition, hours_of
from tests.support.strange_models import Chatty, Crashing, Moody, Sleepy, Terse

TARGET = (ROWS["count"] + 2 * ROWS["weight"] > 4).map({True: "late", False: "soon"})


def pipeline():
    codes = OneHotEncoder(handle_unknown="ignore")
    return make_pipeline(
        make_column_transformer((codes, make_column_selector(dtype_exclude="number")), remainder="passthrough"),
        LogisticRegression(),
    )


def wait_for(happened):
    for _ in range(200):
        if found := happened():
            return found
        time.sleep(0.05)
    pytest.fail("it did not happen within 10 s")


FEATURES = ("town", "size", "count", "weight")


def test_a_good_model_serves_the_same_in_a_fresh_process(tmp_path: Path) -> None:
    features = ROWS[list(FEATURES)]
    save_model(pipeline().fit(features, TARGET), tmp_path / "model")
    found = check_serving_of_directory(definition(*FEATURES), tmp_path / "model", ROWS)
    assert check_parity(found).passed, found
    assert found.difference is not None
    assert found.difference <= 1e-12
    assert [case.name for case in found.cases] == [
        "column order",
        "an extra column",
        "types",
        "missing column",
        "unseen category",
        "single rows",
    ]
    assert found.latency_ms is not None
    assert found.size_bytes == sum(file.stat().st_size for file in (tmp_path / "model").iterdir())


def test_a_model_that_looks_at_places_instead_of_names_is_given_them_by_name(tmp_path: Path) -> None:
    numbers = ROWS[["count", "weight"]]
    save_model(LinearRegression().fit(numbers, ROWS["count"]), tmp_path / "model")
    regression = definition("count", "weight").model_copy(update={"kind": "regression"})
    assert check_parity(check_serving_of_directory(regression, tmp_path / "model", ROWS)).passed


@pytest.mark.parametrize(
    ("kind", "told"),
    [(Crashing, "code 3"), (Moody, "predictions differ by up to"), (Terse, "predictions differ by up to inf")],
)
def test_what_goes_wrong_there_is_a_verdict(kind: type, told: str, tmp_path: Path) -> None:
    features = ROWS[["count", "weight"]]
    save_model(kind(LogisticRegression().fit(features, TARGET)), tmp_path / "model")
    reason = check_parity(check_serving_of_directory(definition("count", "weight"), tmp_path / "model", ROWS))
    assert not reason.passed
    assert told in reason.sentence


def test_what_a_model_prints_stays_out_of_the_protocol(tmp_path: Path) -> None:
    save_model(Chatty(LogisticRegression().fit(ROWS[["count"]], TARGET)), tmp_path / "model")
    for _ in range(2):
        assert check_parity(check_serving_of_directory(definition("count"), tmp_path / "model", ROWS)).passed


@pytest.mark.slow
def test_a_sandbox_that_is_killed_leaves_nothing_behind_and_another_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted = LogisticRegression().fit(ROWS[["count"]], TARGET)
    save_model(Sleepy(fitted), tmp_path / "sleepy")
    save_model(fitted, tmp_path / "good")
    assert check_parity(check_serving_of_directory(definition("count"), tmp_path / "good", ROWS)).passed
    sandbox = serving_check.SANDBOX.pid
    monkeypatch.setattr(serving_check, "MAX_SECONDS", 2.0)
    with ThreadPoolExecutor(1) as pool:
        asleep = pool.submit(check_serving_of_directory, definition("count"), tmp_path / "sleepy", ROWS)
        child = wait_for(lambda: Path(f"/proc/{sandbox}/task/{sandbox}/children").read_text().strip())
        os.kill(sandbox, signal.SIGKILL)
        assert asleep.result().fault == "the process died"
    wait_for(lambda: not Path(f"/proc/{child}").exists())
    monkeypatch.undo()
    assert check_parity(check_serving_of_directory(definition("count"), tmp_path / "good", ROWS)).passed
    assert serving_check.SANDBOX.pid != sandbox


def test_times_of_another_zone_and_categories_that_a_model_refuses(tmp_path: Path) -> None:
    hours = FunctionTransformer(hours_of)
    codes = OneHotEncoder(handle_unknown="error")
    model = make_pipeline(make_column_transformer((hours, ["at"]), (codes, ["town"])), LogisticRegression())
    save_model(model.fit(ROWS[["at", "town"]], TARGET), tmp_path / "model")
    asked = definition("at", "town").model_copy(update={"trusted_types": ("tests.support.checked_models.hours_of",)})
    found = check_serving_of_directory(asked, tmp_path / "model", ROWS)
    assert check_parity(found).passed, found
    told = {case.name: case.sentence for case in found.cases}
    assert told["time zone"] == "the same predictions"
    assert told["unseen category"].startswith("the model fails in both processes: the model cannot predict these rows")


def test_a_model_that_cannot_be_loaded_or_takes_too_long_is_a_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model").mkdir()
    assert "has no model.skops" in str(check_serving_of_directory(definition("count"), tmp_path / "model", ROWS).fault)
    save_model(LogisticRegression().fit(ROWS[["count"]], TARGET), tmp_path / "good")
    monkeypatch.setattr(serving_check, "MAX_SECONDS", 0.0)
    assert "did not finish" in str(check_serving_of_directory(definition("count"), tmp_path / "good", ROWS).fault)
    monkeypatch.undo()
    assert check_parity(check_serving_of_directory(definition("count"), tmp_path / "good", ROWS)).passed


@pytest.mark.slow
def test_the_sandbox_ends_when_its_owner_is_killed(tmp_path: Path) -> None:
    save_model(LogisticRegression().fit(ROWS[["count"]], TARGET), tmp_path / "model")
    script = textwrap.dedent(f"""
        import os, signal
        from pathlib import Path
        from refit_tasks.evaluation import serving_check
        from tests.support.checked_models import ROWS, definition
        found = serving_check.check_serving_of_directory(definition("count"), Path({str(tmp_path / "model")!r}), ROWS)
        print(serving_check.SANDBOX.pid, found.fault, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    """)
    root = Path(__file__).parents[3]
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=root, timeout=120, check=False
    )
    pid, fault = run.stdout.split()
    assert fault == "None", run.stderr
    wait_for(lambda: not Path(f"/proc/{pid}").exists())
