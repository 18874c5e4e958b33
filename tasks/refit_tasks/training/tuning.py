"""Hyperparameter tuning with Optuna: seeded, resumable, each trial a nested MLflow run, scored without the holdout.

The study is stored in `REFIT_HOME/tuning.db`, so that a killed search continues where it stopped.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from filelock import FileLock

from refit.errors import BrokenProject, ModelError, NotEnoughData, ProjectError, TrainingFailed
from refit.modelling.predictions import predict_once
from refit.modelling.preparation import select_features
from refit.modelling.scoring import primary_metric, score
from refit.policies.training import Choice, Dimension, IntRange, Tuning
from refit.project import Project
from refit.windows import format_time
from refit_infra.settings import Settings
from refit_tasks.errors import open_home
from refit_tasks.project_log import with_project
from refit_tasks.registry.tracking import TrackedRun, log_values, open_run
from refit_tasks.runs.progress import ProgressBar
from refit_tasks.training.fit import fit

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.trial import Trial


log = logging.getLogger(__name__)

_STUDY_TAG = "refit.study"
"""The tag of a trial's run that names its study."""
REASON = "reason"
"""The attribute of a trial that failed with an error; a trial that was killed has none and is repeated."""


class TrialRows(NamedTuple):
    """The training rows of a search in two parts, a label delay apart."""

    fit: pd.DataFrame
    """The rows that trials are fitted on."""
    score: pd.DataFrame
    """The newest rows, which trials are scored on."""


def tune(definition: Project, space: Tuning, frame: pd.DataFrame, run: TrackedRun, key: str) -> dict[str, Any]:
    """Searches for the hyperparameters that score best on the newest part of the training rows.

    A search that was killed continues when the run is tried again, and gives the result of an uninterrupted one: the
    seed of each trial follows from its number.

    Args:
        definition: The project.
        space: The search space and the number of trials.
        frame: The labelled training rows.
        run: The MLflow run of the training, the parent of the trials' runs.
        key: The run key, which names the study.

    Returns:
        The best hyperparameters, for `set_params`.

    Raises:
        NotEnoughData: If too few rows remain to fit on.
        ProjectError: If the space does not suit the estimator, or Optuna is not installed.
        TrainingFailed: If no trial could be scored.
    """
    parts, defaults = split_trial_rows(definition, frame), read_default_params(definition, space)
    with open_study(f"{definition.name}-{key}", defaults) as study:
        _reparent_trials(run, study.study_name)
        progress = ProgressBar(definition.name, "tuning")
        for trial in ask_trials(study, space, definition.training.seed):
            _run_trial(definition, parts, study, trial, run)
            progress.show(min(trial.number + 1, space.trials), space.trials)  # killed ones have a number, too
        return _best_params(definition, study)


def split_trial_rows(definition: Project, frame: pd.DataFrame) -> TrialRows:
    """Sets the newest training rows apart for scoring, as many as the policy gives the holdout.

    Args:
        definition: The project.
        frame: The labelled training rows.

    Returns:
        The rows to fit trials on and the rows to score them on.

    Raises:
        NotEnoughData: If fewer rows than the policy's `min_rows` remain to fit on.
    """
    policy, times = definition.training, frame[definition.timestamp]
    judged = max(1, min(int(len(frame) * policy.holdout_share), policy.holdout_rows))
    boundary = times.sort_values().iloc[-judged]
    parts = TrialRows(frame[times < boundary - definition.label_delay], frame[times >= boundary])
    if len(parts.fit) < policy.min_rows:
        raise NotEnoughData(
            f"{definition.name} has {len(parts.fit):,} rows to fit trials on, which end a label delay before "
            f"{format_time(boundary)}, but training.min_rows is {policy.min_rows:,}: load more history, or remove "
            f"training.tuning"
        )
    return parts


def read_default_params(definition: Project, space: Tuning) -> dict[str, Any]:
    """Reads the estimator's default hyperparameters that lie in the search space; they are the first trial.

    Args:
        definition: The project.
        space: The search space.

    Returns:
        From parameter to value.

    Raises:
        BrokenProject: If the space names a parameter that the estimator does not have.
    """
    params = definition.build().get_params(deep=True)
    unknown = sorted(set(space.space) - set(params))
    if unknown:
        raise BrokenProject(
            f"training.tuning of {definition.name} names the unknown parameters {', '.join(map(repr, unknown))}: use "
            f"names from build().get_params()"
        )
    return {name: params[name] for name, dimension in space.space.items() if _lies_in(params[name], dimension)}


def _lies_in(value: object, dimension: Dimension) -> bool:
    if isinstance(dimension, Choice):
        return any(type(value) is type(option) and value == option for option in dimension.options)
    if isinstance(value, bool) or not isinstance(value, int if isinstance(dimension, IntRange) else int | float):
        return False
    return dimension.low <= value <= dimension.high


def _reparent_trials(run: TrackedRun, study: str) -> None:
    """Makes a killed training's trials children of the current run."""
    for trial in run.client.search_runs([run.experiment], f"tags.`{_STUDY_TAG}` = '{study}'"):
        run.client.set_tag(trial.info.run_id, "mlflow.parentRunId", run.id)
        if trial.info.status == "RUNNING":
            run.client.set_terminated(trial.info.run_id, "KILLED")


def _run_trial(definition: Project, parts: TrialRows, study: Study, trial: Trial, run: TrackedRun) -> None:
    from optuna.trial import TrialState

    tags = {_STUDY_TAG: study.study_name, "mlflow.parentRunId": run.id}
    try:
        with open_run(run.client, run.experiment, f"trial {trial.number}", tags) as tracked:
            log_values(tracked, params={f"tuned.{name}": value for name, value in trial.params.items()})
            metric, value = _score(definition, parts, trial.params)
            log_values(tracked, metrics={f"tuning_{metric}": value})
    except ModelError as fault:  # such as an invalid combination of hyperparameters
        trial.set_user_attr(REASON, str(fault))
        study.tell(trial, state=TrialState.FAIL)
        log.warning("trial %d with %s failed: %s", trial.number, trial.params, fault)
    else:
        study.tell(trial, value)


def _score(definition: Project, parts: TrialRows, params: dict[str, Any]) -> tuple[str, float]:
    model = fit(definition, parts.fit, params)
    truth, features = parts.score[definition.target], definition.features_of(parts.score.columns)
    metric = primary_metric(definition, parts.fit[definition.target].unique())
    value = score(metric, predict_once(model, select_features(parts.score, features)), truth)
    if math.isnan(value):
        raise ModelError(f"{metric} is undefined on the newest training rows: they hold a single class")
    return metric, value


def _best_params(definition: Project, study: Study) -> dict[str, Any]:
    from optuna.trial import TrialState

    if study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        with_project(log, definition.name).info(
            "the best trial scored %.6g with %s", study.best_value, study.best_params
        )
        return study.best_params
    reason = study.get_trials(deepcopy=False)[-1].user_attrs[REASON]
    raise TrainingFailed(f"no trial of {definition.name} could be scored ({reason}): change training.tuning")


@contextmanager
def open_study(name: str, defaults: dict[str, Any]) -> Iterator[Study]:
    """Opens or creates a study, and marks trials that a killed process left running as failed.

    Args:
        name: The name of the study.
        defaults: The hyperparameters of a new study's first trial; parameters left out are sampled.

    Yields:
        The study.

    Raises:
        ProjectError: If Optuna is not installed.
        StateError: If `REFIT_HOME` cannot be created.
    """
    try:
        import optuna
    except ImportError as error:
        raise ProjectError(
            "training.tuning needs Optuna: run `pip install 'refit-ml[tune]'`, or remove training.tuning"
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    database = Settings().home / "tuning.db"
    open_home(Settings())
    with FileLock(f"{database}.lock"):  # two processes that create the database at once would collide
        storage = optuna.storages.RDBStorage(f"sqlite:///{database}", {"connect_args": {"timeout": 60}})
    study = optuna.create_study(storage=storage, study_name=name, direction="maximize", load_if_exists=True)
    for trial in study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)):
        study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
    if not _count_finished(study) and not study.get_trials(states=(optuna.trial.TrialState.WAITING,)):
        study.enqueue_trial(defaults)
    try:
        yield study
    finally:
        storage.engine.dispose()


def _count_finished(study: Study) -> int:
    """Counts the trials that ended with a score or an error."""
    from optuna.trial import TrialState

    ended = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.FAIL))
    return sum(trial.state == TrialState.COMPLETE or REASON in trial.user_attrs for trial in ended)


def ask_trials(study: Study, space: Tuning, seed: int) -> Iterator[Trial]:
    """Asks for trials until the study has its number of finished ones; the caller reports each result to the study.

    Args:
        study: The study.
        space: The search space and the number of trials.
        seed: The seed of the search; with the number of finished trials it seeds the next one.

    Yields:
        A trial with sampled hyperparameters.
    """
    from optuna.samplers import TPESampler

    distributions = {name: _distribution(dimension) for name, dimension in space.space.items()}
    while (judged := _count_finished(study)) < space.trials:
        study.sampler = TPESampler(seed=int(np.random.SeedSequence([seed, judged]).generate_state(1)[0]))
        yield study.ask(distributions)
        log.info("trial %d of %d of %s has finished", judged + 1, space.trials, study.study_name)


def _distribution(dimension: Dimension) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(dimension, Choice):
        return CategoricalDistribution(dimension.options)
    if isinstance(dimension, IntRange):
        return IntDistribution(dimension.low, dimension.high, log=dimension.log)
    return FloatDistribution(dimension.low, dimension.high, log=dimension.log)
