"""The search over hyperparameters: seeded, resumable, every trial a run in MLflow, judged without the holdout.

The memory of a search over hyperparameters: an Optuna study in `REFIT_HOME/tuning.db` that survives its process.
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


class TrialRows(NamedTuple):
    """Training rows in two parts, a label delay apart."""

    fit: pd.DataFrame
    score: pd.DataFrame
    """The newest of them."""


def tune(definition: Project, space: Tuning, frame: pd.DataFrame, run: TrackedRun, key: str) -> dict[str, Any]:
    """Searches the space for the hyperparameters that score best on the newest part of the training rows.

    A search that was killed goes on where it stopped when the same run is tried again, and ends as if it had not been
    interrupted: its study is kept under `REFIT_HOME`, and each trial's seed follows from its place in the search.

    Args:
        definition: The project.
        space: What to search, and for how long.
        frame: The training rows, labelled.
        run: The training's run, the parent of the trials' runs.
        key: The run key, which names the study.

    Returns:
        The best hyperparameters, as `set_params` takes them.

    Raises:
        NotEnoughData: If too few rows remain to fit on.
        ProjectError: If the space does not suit the estimator, or Optuna is not installed.
        TrainingFailed: If no trial could be scored.
    """
    parts, defaults = split_trial_rows(definition, frame), _default_params(definition, space)
    with open_study(f"{definition.name}-{key}", defaults) as study:
        _reparent_trials(run, study.study_name)
        progress = ProgressBar(definition.name, "tuning")
        for trial in ask_trials(study, space, definition.training.seed):
            _run_trial(definition, parts, study, trial, run)
            progress.show(min(trial.number + 1, space.trials), space.trials)  # killed ones have a number, too
        return _best_params(definition, study)


def split_trial_rows(definition: Project, frame: pd.DataFrame) -> TrialRows:
    """Sets the newest training rows apart, as many of them as the policy would give the holdout.

    Args:
        definition: The project.
        frame: The training rows, labelled.

    Returns:
        The rows to fit trials on and the rows to judge them on.

    Raises:
        NotEnoughData: If fewer rows than the policy's `min_rows` remain to fit on.
    """
    policy, times = definition.training, frame[definition.timestamp]
    judged = max(1, min(int(len(frame) * policy.holdout_share), policy.holdout_rows))
    boundary = times.sort_values().iloc[-judged]
    parts = TrialRows(frame[times < boundary - definition.label_delay], frame[times >= boundary])
    if len(parts.fit) < policy.min_rows:
        raise NotEnoughData(
            f"{definition.name} has {len(parts.fit)} rows to fit trials on, a label delay before {boundary}, and "
            f"training.min_rows asks for {policy.min_rows}: bring more history, or leave training.tuning out"
        )
    return parts


def _default_params(definition: Project, space: Tuning) -> dict[str, Any]:
    """Gives the estimator's own hyperparameters where they lie in the space: the first trial."""
    params = definition.build().get_params(deep=True)
    unknown = sorted(set(space.space) - set(params))
    if unknown:
        raise BrokenProject(
            f"training.tuning of {definition.name} names {', '.join(map(repr, unknown))}, which the estimator does not "
            f"have: use names that build().get_params() gives"
        )
    return {name: params[name] for name, dimension in space.space.items() if _lies_in(params[name], dimension)}


def _lies_in(value: object, dimension: Dimension) -> bool:
    if isinstance(dimension, Choice):
        return any(type(value) is type(option) and value == option for option in dimension.options)
    if isinstance(value, bool) or not isinstance(value, int if isinstance(dimension, IntRange) else int | float):
        return False
    return dimension.low <= value <= dimension.high


def _reparent_trials(run: TrackedRun, study: str) -> None:
    """Moves the trials of a killed training under the one that goes on."""
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
    except ModelError as fault:  # hyperparameters that do not go together
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
        raise ModelError(f"the newest training rows allow no {metric}: they hold one class")
    return metric, value


def _best_params(definition: Project, study: Study) -> dict[str, Any]:
    from optuna.trial import TrialState

    if study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        with_project(log, definition.name).info(
            "the best of its trials scored %.6g with %s", study.best_value, study.best_params
        )
        return study.best_params
    reason = study.get_trials(deepcopy=False)[-1].user_attrs[REASON]
    raise TrainingFailed(f"no trial of {definition.name} could be scored ({reason}): change training.tuning")


REASON = "reason"
"""The attribute of a trial that failed by itself; one that was killed has none, and is tried again."""


@contextmanager
def open_study(name: str, defaults: dict[str, Any]) -> Iterator[Study]:
    """Opens a study, new or left by a process that was killed: the trials it was at count as failed.

    Args:
        name: The study's name.
        defaults: The hyperparameters that a new study tries first; those that are not named are drawn.

    Yields:
        The study, ready to ask.

    Raises:
        ProjectError: If Optuna is not installed.
        StateError: If `REFIT_HOME` cannot be created.
    """
    try:
        import optuna
    except ImportError as error:
        raise ProjectError("training.tuning needs Optuna: run pip install 'refit-ml[tune]', or leave it out") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    database = Settings().home / "tuning.db"
    open_home(Settings())
    with FileLock(f"{database}.lock"):  # several processes that create it at once would collide
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
    """Counts the trials that came to an end, a score or a fault of their own."""
    from optuna.trial import TrialState

    ended = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.FAIL))
    return sum(trial.state == TrialState.COMPLETE or REASON in trial.user_attrs for trial in ended)


def ask_trials(study: Study, space: Tuning, seed: int) -> Iterator[Trial]:
    """Gives trials until as many as wanted have come to an end; whoever takes one tells the study how it went.

    Args:
        study: The study.
        space: What to draw from, and how many trials the whole study has.
        seed: With the count of trials so far it seeds what is drawn next, so that an interruption changes nothing.

    Yields:
        A trial with its hyperparameters drawn.
    """
    from optuna.samplers import TPESampler

    distributions = {name: _distribution(dimension) for name, dimension in space.space.items()}
    while (judged := _count_finished(study)) < space.trials:
        study.sampler = TPESampler(seed=int(np.random.SeedSequence([seed, judged]).generate_state(1)[0]))
        yield study.ask(distributions)
        log.info("trial %d of %d of %s is judged", judged + 1, space.trials, study.study_name)


def _distribution(dimension: Dimension) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(dimension, Choice):
        return CategoricalDistribution(dimension.options)
    if isinstance(dimension, IntRange):
        return IntDistribution(dimension.low, dimension.high, log=dimension.log)
    return FloatDistribution(dimension.low, dimension.high, log=dimension.log)
