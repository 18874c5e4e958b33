"""A project is tried out from load to store, and each thing that is wrong with it is said in one sentence."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from refit_tasks.catalog import find_project
from refit_tasks.project_check.check import Check, check
from refit_tasks.project_check.sample import load_sample
from tests.support.webhook import webhook

AS_OF = datetime(2026, 3, 1, tzinfo=UTC)
FILE = '''"""Sums."""
from datetime import timedelta

import numpy as np
import pandas as pd
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from refit import GatePolicy, Project


def load(window):
    times = pd.date_range("2020-01-01", "2020-01-03", freq="1min", tz="UTC")
    frame = pd.DataFrame({"t": times, "x": range(len(times)), "empty": np.nan})
    frame["y"] = frame["x"] * 2.0
    yield frame[(frame["t"] >= window.start) & (frame["t"] < window.end)]


def double(frame):
    return frame * 2


def build():
    return Ridge()


project = Project(name="sums", kind="regression", target="y", timestamp="t", load=load, build=build, features=("x",))
'''
PASSES = ["load", "columns", "contract", "overlap", "split", "build", "metric", "fit", "predict", "store", "serve"]


@pytest.fixture(autouse=True)
def projects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REFIT_PROJECTS", str(tmp_path))
    return tmp_path / "sums.py"


def checked(file: Path, text: str) -> dict[str, Check]:
    file.write_text(text)
    return {result.name: result for result in check(find_project("sums"), AS_OF)}


def test_a_sound_project_passes_every_check_and_leaves_nothing(projects: Path, home: Path) -> None:
    results = checked(projects, FILE)
    assert [result.name for result in results.values() if result.passed] == PASSES
    assert "2,000 rows" in results["fit"].sentence
    left = {path.relative_to(home).as_posix() for path in home.rglob("*")}
    assert left <= {"staging", "staging/lock", "staging/scratch", "staging/scratch/lock"}


def test_a_feature_without_any_value_passes_if_the_estimator_predicts_rows_without_it(projects: Path) -> None:
    empty = FILE.replace('("x",)', '("x", "empty")')
    results = checked(projects, empty)
    assert [name for name, result in results.items() if not result.passed] == ["predict", "serve"]
    assert "Ridge does not accept missing values" in results["predict"].sentence
    imputed = empty.replace("Ridge()", "make_pipeline(SimpleImputer(keep_empty_features=True), Ridge())")
    imports = "from sklearn.impute import SimpleImputer\nfrom sklearn.linear_model import Ridge"
    imputed = imputed.replace("from sklearn.linear_model import Ridge", imports)
    assert [result.sentence for result in checked(projects, imputed).values() if not result.passed] == []


@pytest.mark.parametrize(
    ("old", "new", "failing", "sentence"),
    [
        ("times = pd", "times = pandas", "load", "sums.py, line 14: NameError: name 'pandas' is not defined"),
        ('    yield frame[', '    return 3\n    yield frame[', "load", "no rows before 2026-03-01"),
        ('    yield frame[', '    return "rows"\n    frame[', "load", "sums.py returns a str: return a frame"),
        ('    yield frame[', '    return 3\n    frame[', "load", "sums.py returns a int: return a frame"),
        ('target="y"', 'target="z"', "columns", "'z'.* is missing"),
        ('frame["x"] * 2.0', "np.nan", "split", "none of 2,881 rows has a label in 'y'"),
        ('features=("x",)', 'features=("w",)', "columns", "'w'.* is missing"),
        ("load=load", "load=load, expectations=lambda: [3]", "contract", "sums.py.* 3 is not a Great Expectations"),
        ('frame["x"] * 2.0', "7.0", "fit", "target 'y' of sums has the single value .*7.0.* in all 2,000"),
        ("return Ridge()", "return Ridge", "build", "build\\(\\) returns <class .*Ridge'>: return an unfitted"),
        ("return Ridge()", "return 1 / 0", "build", "line 25: ZeroDivisionError"),
        ("Ridge()", "Ridge(alpha=-1)", "fit", "sums.py: InvalidParameterError: .*alpha"),
        ("load=load", 'load=load, gate=GatePolicy(metric="r3")', "metric", "'r3', which is not a scikit-learn scorer"),
        ("Ridge()", "make_pipeline(FunctionTransformer(double), Ridge())", "store", "trusted_types=.*double"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_found(old: str, new: str, failing: str, sentence: str, projects: Path) -> None:
    assert old in FILE
    results = checked(projects, FILE.replace(old, new))
    assert list(results) == PASSES
    assert not results[failing].passed
    assert pd.Series([results[failing].sentence]).str.contains(sentence).all(), results[failing].sentence
    assert "\n" not in results[failing].sentence
    later = [result for result in results.values() if not result.passed and result.name != failing]
    assert all(result.sentence.startswith("skipped because") for result in later)


def test_checks_that_need_no_rows_are_made_without_them(projects: Path) -> None:
    results = checked(projects, FILE.replace("times = pd", "times = pandas"))
    assert [result.name for result in results.values() if result.passed] == ["build", "metric"]


def test_a_trusted_function_of_the_file_is_stored_and_found_again(projects: Path) -> None:
    text = FILE.replace("Ridge()", "make_pipeline(FunctionTransformer(double), Ridge())")
    trusted = text.replace("load=load", 'load=load, trusted_types=("refit_project_sums.double",)')
    assert all(result.passed for result in checked(projects, trusted).values())


def test_the_sample_is_the_newest_and_bounded(projects: Path, tmp_path: Path) -> None:
    projects.write_text(
        FILE.replace(
            "    yield frame[", "    while window.length < timedelta(days=40):\n        yield frame\n    yield frame["
        )
    )
    sample = load_sample(find_project("sums"), AS_OF, tmp_path)
    assert (sample.raw.rows, sample.whole) == (51_858, False)


def test_blocks_that_are_to_tell_people_are_looked_up(projects: Path, prefect_server: None) -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    text = FILE.replace("load=load", 'load=load, notifications=NotificationPolicy(blocks=("slack-webhook/nobody",))')
    named = text.replace(
        "import GatePolicy, Project", "import GatePolicy, Project\nfrom refit.policies.training import *"
    )
    missing = checked(projects, named)["notifications"]
    assert not missing.passed
    assert "slack-webhook/nobody: there is no such block on the Prefect server: create the block" in missing.sentence
    with temporary_settings(restore_defaults={PREFECT_API_URL}):
        unknown = checked(projects, named)["notifications"]
    assert unknown.passed
    assert "not looked up" in unknown.sentence
    with webhook() as hook:
        block = hook.save_block("team")
    assert checked(projects, named.replace("slack-webhook/nobody", block))["notifications"].passed
