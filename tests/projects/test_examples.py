"""The examples: rows that do not depend on who asks, labels that arrive later, drifts that show, models that learn."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.metrics import get_scorer
from threadpoolctl import threadpool_limits

from refit import Project, Window
from refit.errors import ProjectError
from refit.modelling.preparation import baseline_model
from refit.modelling.scoring import primary_metric
from refit.synthetic import Drift
from refit.windows import BEGINNING
from refit_tasks.catalog import discover
from refit_tasks.project_check.check import check
from tests.support import paths

EXAMPLES = discover(paths.EXAMPLES).projects
every_example = pytest.mark.parametrize("project", EXAMPLES.values(), ids=EXAMPLES.keys())
JANUARY = datetime(2026, 1, 1, tzinfo=UTC)
MARCH = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Threads that wait for a busy core take longer than the fit itself."""
    with threadpool_limits(1):
        yield


@pytest.fixture(autouse=True)
def switch(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.delenv("REFIT_EXAMPLE_DRIFT", raising=False)
    return monkeypatch


def rows_of(project: Project, start: datetime, end: datetime) -> pd.DataFrame:
    pieces = list(project.load(Window(start, end)))
    return pd.concat(pieces, ignore_index=True) if pieces else pd.DataFrame()


@cache
def history(name: str) -> pd.DataFrame:
    rows = rows_of(EXAMPLES[name], BEGINNING, JANUARY + timedelta(days=50))
    return rows.set_index(list(EXAMPLES[name].key), drop=False)


def labelled(project: Project, start: datetime, days: int) -> tuple[pd.DataFrame, pd.Series]:
    end = start + timedelta(days=days)
    rows = rows_of(project, start, end + project.label_delay)
    rows = rows[rows[project.timestamp] < end]
    return rows[project.features_of(rows.columns)], rows[project.target].astype(int)


def test_both_kinds_are_there() -> None:
    assert {(project.name, project.kind) for project in EXAMPLES.values()} == {
        ("bike_demand", "regression"),
        ("late_delivery", "classification"),
    }


@every_example
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(-30, 24 * 38), st.integers(0, 24 * 9))
def test_a_row_is_the_same_whatever_window_asks(project: Project, first_hour: int, hours: int) -> None:
    start = JANUARY + timedelta(hours=first_hour, minutes=17)
    window = Window(start, start + timedelta(hours=hours))
    everything = history(project.name)
    some = rows_of(project, window.start, window.end)
    expected = everything[window.holds(everything[project.timestamp])]
    assert len(some) == len(expected)
    if len(some):
        inputs = some.set_index(list(project.key), drop=False).drop(columns=project.target)
        pd.testing.assert_frame_equal(inputs, expected.drop(columns=project.target))


@every_example
def test_the_history_has_a_beginning_and_grows_by_some_hundred_rows_a_day(project: Project) -> None:
    assert rows_of(project, BEGINNING, BEGINNING).empty
    assert rows_of(project, BEGINNING, JANUARY).empty
    rows = rows_of(project, BEGINNING, JANUARY + timedelta(days=28))
    days = rows.groupby(rows[project.timestamp].dt.date).size()
    assert len(days) == 28
    assert days.between(300, 600).all()
    assert not rows.duplicated(list(project.key)).any()
    assert rows[project.timestamp].is_monotonic_increasing
    inputs = rows.drop(columns=project.target)
    assert inputs.select_dtypes("number").isna().any().any()
    assert inputs.select_dtypes("str").isna().any().any()


@every_example
def test_labels_arrive_after_their_delay_and_stay(project: Project) -> None:
    end = JANUARY + timedelta(days=9)
    early, late = rows_of(project, JANUARY, end), rows_of(project, JANUARY, end + project.label_delay).iloc
    late = late[: len(early)]
    arrived = early[project.timestamp] + project.label_delay <= end
    assert 0 < (~arrived).sum() < len(early)
    assert early[project.target].notna().equals(arrived)
    assert late[project.target].notna().all()
    assert early[project.target][arrived].equals(late[project.target][arrived])


@every_example
def test_a_window_of_months_has_some_hundred_thousand_rows(project: Project) -> None:
    rows = rows_of(project, JANUARY, JANUARY + timedelta(days=230))
    assert 95_000 < len(rows) < 120_000


@every_example
def test_the_model_beats_the_trivial_one_clearly(project: Project) -> None:
    seen = labelled(project, JANUARY, 60)
    scorer = get_scorer(primary_metric(project, seen[1].unique()))
    model, baseline = project.build().fit(*seen), baseline_model(project.kind).fit(*seen)
    unseen = labelled(project, JANUARY + timedelta(days=65), 14)
    gain = scorer(model, *unseen) - scorer(baseline, *unseen)
    assert gain > (0.2 if project.kind == "classification" else -0.4 * scorer(baseline, *unseen))


def test_a_fifth_of_the_parcels_are_late() -> None:
    assert 0.15 < labelled(EXAMPLES["late_delivery"], JANUARY, 180)[1].mean() < 0.25


def loss_of_learning_elsewhere(project: Project, switch: pytest.MonkeyPatch, drift: str) -> float:
    """How much worse a model of drifted rows is on undrifted ones than a model of undrifted rows, as a share."""
    switch.delenv("REFIT_EXAMPLE_DRIFT", raising=False)
    own = project.build().fit(*labelled(project, MARCH, 30))
    switch.setenv("REFIT_EXAMPLE_DRIFT", drift)
    other = project.build().fit(*labelled(project, MARCH, 30))
    switch.delenv("REFIT_EXAMPLE_DRIFT")
    unseen = labelled(project, MARCH + timedelta(days=35), 10)
    scorer = get_scorer(primary_metric(project, unseen[1].unique()))
    return (scorer(own, *unseen) - scorer(other, *unseen)) / abs(scorer(own, *unseen))


@every_example
def test_a_covariate_drift_moves_the_inputs_and_not_what_follows_from_them(
    project: Project, switch: pytest.MonkeyPatch
) -> None:
    quiet = labelled(project, MARCH, 20)[0].select_dtypes("number")
    switch.setenv("REFIT_EXAMPLE_DRIFT", "covariate@2026-03-01")
    moved = labelled(project, MARCH, 20)[0][quiet.columns]
    assert ((moved.mean() - quiet.mean()).abs() / quiet.std()).max() > 0.5
    assert loss_of_learning_elsewhere(project, switch, "covariate@2026-03-01") < 0.2


@every_example
def test_a_concept_drift_leaves_the_inputs_and_changes_what_follows(
    project: Project, switch: pytest.MonkeyPatch
) -> None:
    quiet = labelled(project, MARCH, 20)[0]
    switch.setenv("REFIT_EXAMPLE_DRIFT", "concept@2026-03-01")
    pd.testing.assert_frame_equal(quiet, labelled(project, MARCH, 20)[0])
    assert loss_of_learning_elsewhere(project, switch, "concept@2026-03-01") > 0.25


@every_example
@pytest.mark.parametrize("kind", ["covariate", "concept"])
def test_a_drift_leaves_the_days_before_alone(kind: str, project: Project, switch: pytest.MonkeyPatch) -> None:
    before = rows_of(project, JANUARY, MARCH)
    switch.setenv("REFIT_EXAMPLE_DRIFT", f"{kind}@2026-03-01")
    pd.testing.assert_frame_equal(before, rows_of(project, JANUARY, MARCH))


@every_example
def test_passes_refit_check(project: Project) -> None:
    results = check(project, MARCH)
    assert [result.sentence for result in results if not result.passed] == []


@pytest.mark.parametrize(
    ("text", "drift"),
    [
        ("", Drift()),
        ("concept@2026-05-01", Drift(concept=datetime(2026, 5, 1, tzinfo=UTC))),
        (
            " covariate@2026-04-01, concept@2026-05-01",
            Drift(datetime(2026, 4, 1, tzinfo=UTC), datetime(2026, 5, 1, tzinfo=UTC)),
        ),
    ],
)
def test_the_switch_is_read(text: str, drift: Drift) -> None:
    assert Drift.parse(text) == drift


@pytest.mark.parametrize("text", ["on", "prior@2026-04-01", "concept@may", "concept@2026-13-01", "concept", "a,,b"])
def test_a_switch_that_cannot_be_read_says_how_to_write_it(text: str) -> None:
    with pytest.raises(ProjectError, match=r"write .*covariate@2026-04-01,concept@2026-05-01"):
        Drift.parse(text)


def test_a_kind_of_drift_stands_once() -> None:
    with pytest.raises(ProjectError, match="once"):
        Drift.parse("concept@2026-04-01,concept@2026-05-01")
