import json
import math
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression, Ridge

from refit import Project, TrainingPolicy, Window
from refit.modelling.training_window import candidate_windows, choose_candidate, choose_window
from tests.support.simulation_sizes import found_at_least, sizes

START = datetime(2026, 1, 1, tzinfo=UTC)
FEATURES = 20


def project(kind="regression", window="auto", build=Ridge, label_delay=timedelta(0)):
    return Project(
        name="m",
        kind=kind,
        target="y",
        timestamp="at",
        load=pd.DataFrame,
        build=build,
        label_delay=label_delay,
        training=TrainingPolicy(window=window),
    )


def history(seed, kind, rows=2_000, new_share=0.0):
    """Hourly rows of a linear concept with noise; the newest share of them follows another one."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(rows, FEATURES))
    old, new = rng.normal(size=(2, FEATURES)) / math.sqrt(FEATURES)
    is_new = np.arange(rows) >= rows * (1 - new_share)
    signal = np.where(is_new, features @ new, features @ old)
    labels = signal + rng.normal(size=rows) if kind == "regression" else 2 * signal + rng.logistic(size=rows) > 0
    frame = pd.DataFrame(features, columns=[f"x{column}" for column in range(FEATURES)])
    return frame.assign(y=labels, at=pd.date_range(START, periods=rows, freq="h", unit="us"))


def all_of(frame):
    return Window(frame["at"].min().to_pydatetime(), frame["at"].max().to_pydatetime() + timedelta(microseconds=1))


KINDS = [("regression", Ridge), ("classification", LogisticRegression)]


@sizes(100)
@pytest.mark.parametrize(("kind", "build"), KINDS)
def test_without_drift_all_history_is_kept(kind, build, repeats):
    """In 90 % of 100 repetitions, 2,000 rows and 20 features."""
    frames = [history(seed, kind) for seed in range(repeats)]
    kept = [choose_window(project(kind, build=build), frame).window == all_of(frame) for frame in frames]
    assert np.mean(kept) >= found_at_least(0.9, repeats, full=100)


@sizes(30, quick=6)
@pytest.mark.parametrize(("kind", "build"), KINDS)
def test_after_an_abrupt_change_a_shorter_window_is_chosen(kind, build, repeats):
    """In 90 % of 30 repetitions; the newest 30 % of 2,000 rows follow another concept."""
    frames = [history(seed, kind, new_share=0.3) for seed in range(repeats)]
    starts = [choose_window(project(kind, build=build), frame).window.start for frame in frames]
    assert np.mean([start >= START + timedelta(hours=1_000) for start in starts]) >= found_at_least(
        0.9, repeats, full=30
    )


def test_the_choice_is_told_with_its_evidence_and_the_same_each_time():
    frame = history(1, "regression", new_share=0.3)
    choice = choose_window(project(), frame)
    assert choice == choose_window(project(), frame.sample(frac=1, random_state=0))
    assert [candidate.window.length.total_seconds() // 3600 for candidate in choice.candidates] == [
        1999,
        1149,
        724,
        511,
        405,
    ]
    assert choice.window in [candidate.window for candidate in choice.candidates]
    assert choice.window.end == all_of(frame).end
    assert json.loads(json.dumps(asdict(choice), default=str))


@pytest.mark.parametrize(
    ("window", "start"),
    [
        ("all", START),
        (timedelta(days=10), START + timedelta(hours=1_759, microseconds=1)),
        (timedelta(days=999), START),
    ],
)
def test_the_other_policies_judge_nothing(window, start):
    choice = choose_window(project(window=window, build=None.__class__), history(0, "regression"))
    assert choice.window == Window(start, START + timedelta(hours=1_999, microseconds=1))
    assert choice.candidates == ()


def test_few_rows_are_all_taken():
    frame = history(0, "regression", rows=220, new_share=0.3)
    assert choose_window(project(), frame).window == all_of(frame)


class Diary(Ridge):
    """Remembers what it was fitted on and asked about."""

    fitted: list
    judged: list

    def fit(self, rows, y):
        self.fitted.append(rows["x0"])
        return super().fit(rows, y)

    def predict(self, rows):
        self.judged.append(rows["x0"])
        return super().predict(rows)


def test_candidates_end_a_label_delay_before_the_rows_they_are_judged_on():
    Diary.fitted, Diary.judged = [], []
    frame = history(0, "regression")
    choose_window(project(build=Diary, label_delay=timedelta(hours=24)), frame)
    hour_of = pd.Series(frame.index, index=frame["x0"])
    assert len(Diary.fitted) == 5
    assert {hour_of[rows].min() for rows in Diary.judged} == {1_700}
    assert {hour_of[rows].max() for rows in Diary.fitted} == {1_675}


def test_a_long_history_is_sampled():
    Diary.fitted, Diary.judged = [], []
    choose_window(project(build=Diary), history(0, "regression", rows=40_000))
    sizes = [len(rows) for rows in Diary.fitted]
    assert sizes == pytest.approx([4_000, 4_000, 4_000, 4_000, 2_437, 1_218, 609], abs=1)
    assert {len(rows) for rows in Diary.judged} == {1_000}


def test_a_candidate_that_cannot_be_fitted_is_left_out():
    frame = history(0, "classification")
    frame["y"] = np.where(frame.index < 850, "yes", "no")
    frame.loc[1_700::2, "y"] = "yes"
    choice = choose_window(project("classification", build=LogisticRegression), frame)
    assert [candidate.score is None for candidate in choice.candidates] == [False, True, True, True, True]
    assert choice.window == all_of(frame)


def test_nothing_that_can_be_fitted_leaves_all_history():
    frame = history(0, "classification").assign(y="yes")
    choice = choose_window(project("classification", build=LogisticRegression), frame)
    assert choice.window == all_of(frame)
    assert {candidate.score for candidate in choice.candidates} == {None}


def test_candidates_halve_the_rows_and_never_come_twice():
    hours = pd.Series(pd.date_range(START, periods=800, freq="h", unit="us"))
    everything = Window(START, START + timedelta(hours=900))
    starts = [window.start for window in candidate_windows(everything, hours, 200)]
    assert starts == [START, START + timedelta(hours=400), START + timedelta(hours=600)]
    one_time = pd.Series([pd.Timestamp(START)] * 800)
    assert candidate_windows(everything, one_time, 100) == [everything]
    assert candidate_windows(everything, hours[:0], 100) == [everything]


NAN = [math.nan] * 5


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([[1, 2, 3, 4, 5]] * 3, 0),
        ([[1, 2, 3, 4, 5], [2, 3, 4, 5, 6]], 1),
        ([[1, 2, 3, 4, 5], [2, 1, 4, 3, 5.1]], 0),
        ([[1, 2, 3, 4, 5], [2, 3, 4, 5, 6], [2.1, 2.9, 4.1, 4.9, 6.1]], 1),
        ([NAN, [1, 2, 3, 4, 5], [1, 2, 3, 4, 5]], 1),
        ([NAN, NAN], 0),
        ([[1, 2, 3, 4, math.nan], [2, 3, 4, 5, 6]], 0),
        ([[1, 2, 3, 4, 5, math.nan], [2, 3, 4, 5, 6, 0]], 1),
    ],
    ids=["equal", "better", "within an error", "best two alike", "unfitted", "none", "too few blocks", "paired blocks"],
)
def test_the_longest_within_a_standard_error_of_the_best(scores, expected):
    assert choose_candidate(np.array(scores, dtype=float)) == expected
