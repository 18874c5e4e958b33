"""The memory of a search over hyperparameters: an Optuna study in `REFIT_HOME/tuning.db` that survives its process."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from filelock import FileLock

from refit.errors import ProjectError
from refit.policies.tuning import Choice, Dimension, IntRange, Tuning
from refit_infra.settings import Settings
from refit_tasks.errors import open_home

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.trial import Trial

log = logging.getLogger(__name__)

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
        raise ProjectError("training.tuning needs Optuna: run pip install 'refit[tune]', or leave it out") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    database = Settings().home / "tuning.db"
    open_home(Settings())
    with FileLock(f"{database}.lock"):  # several processes that create it at once would collide
        storage = optuna.storages.RDBStorage(f"sqlite:///{database}", {"connect_args": {"timeout": 60}})
    study = optuna.create_study(storage=storage, study_name=name, direction="maximize", load_if_exists=True)
    for trial in study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)):
        study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
    if not _judged(study) and not study.get_trials(states=(optuna.trial.TrialState.WAITING,)):
        study.enqueue_trial(defaults)
    try:
        yield study
    finally:
        storage.engine.dispose()


def _judged(study: Study) -> int:
    """Counts the trials that came to an end, a score or a fault of their own."""
    from optuna.trial import TrialState

    ended = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.FAIL))
    return sum(trial.state == TrialState.COMPLETE or REASON in trial.user_attrs for trial in ended)


def trials(study: Study, space: Tuning, seed: int) -> Iterator[Trial]:
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
    while (judged := _judged(study)) < space.trials:
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
