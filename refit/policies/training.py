"""A project's policies: what it asks of its data and its training. Every one has a default.

What a project may say about tuning: a space of hyperparameters and how many trials to spend on it.

When a project's flows run, how they are deployed, and who hears of what came of them.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any, Literal
from zoneinfo import available_timezones

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator


class _Dimension(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class IntRange(_Dimension):
    """Whole numbers from `low` to `high`, both included."""

    kind: Literal["int"] = "int"
    low: int
    high: int
    log: bool = False
    """Whether to search on a logarithmic scale."""


class FloatRange(_Dimension):
    """Numbers from `low` to `high`, both included."""

    kind: Literal["float"] = "float"
    low: float
    high: float
    log: bool = False
    """Whether to search on a logarithmic scale."""


class Choice(_Dimension):
    """One of a few values."""

    kind: Literal["choice"] = "choice"
    options: tuple[bool | int | float | str | None, ...] = Field(min_length=1)


Dimension = Annotated[IntRange | FloatRange | Choice, Field(discriminator="kind")]


class Tuning(BaseModel):
    """A search over the hyperparameters of the project's estimator; needs the extra `refit[tune]`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    space: dict[str, Dimension]
    """From a parameter's name, as `set_params` takes it (`model__max_depth`), to its dimension."""
    trials: int = Field(20, ge=1, le=10_000)
    """How many trials the whole study has, resumed runs included."""

    @model_validator(mode="after")
    def _bounds_in_order(self) -> Tuning:
        for name, dimension in self.space.items():
            if not isinstance(dimension, Choice) and dimension.low > dimension.high:
                raise ValueError(
                    f"tuning.space[{name!r}] runs from {dimension.low} down to {dimension.high}: swap them"
                )
        return self


class Policy(BaseModel):
    """What all policies share: they cannot be changed after the fact, and a misspelt key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class IngestionPolicy(Policy):
    """How rows come in."""

    lateness: timedelta = Field(timedelta(days=1), ge=timedelta(0))
    """How far back before the newest ingested event time each ingest looks again for late and corrected rows.

    The label delay is added to it, since labels arrive as corrections of rows that were ingested without one.
    """
    keep: timedelta | None = Field(None, gt=timedelta(0))
    """How long a row stays, by its event time: older ones leave the table, and quarantined ones the quarantine, when
    `refit prune` runs. Versions that a kept model was trained or judged on keep theirs until that model goes. `None`
    keeps all."""
    piece_rows: int = Field(250_000, ge=1_000)
    """How many rows are held in memory at a time; larger frames from `load` are cut into pieces of this size."""


class ContractPolicy(Policy):
    """How strict the data contract is where the project's expectations do not say."""

    quarantine_limit: float = Field(0.05, ge=0, le=1)
    """The share of a batch's rows that may go to the quarantine before the whole batch is refused."""
    min_rows: int = Field(1, ge=0)
    """The fewest rows that an ingest which finds any rows may bring."""
    freshness: timedelta | None = Field(None, gt=timedelta(0))
    """How old the newest row may be, seen from the end of the load; `None` asks for nothing."""
    added_columns: Literal["refuse", "ignore", "add"] = "refuse"
    """What to do with a column that the table does not know: refuse the batch, leave the column out, or widen the
    table, in which older rows are then missing there."""
    range_slack: float = Field(10.0, ge=0)
    """How far beyond the reference range a number may lie in a derived contract, as a multiple of that range's width or
    largest magnitude, whichever is larger: wide enough for a season or for growth, too narrow for another unit."""
    category_limit: int = Field(50, ge=1)
    """A derived contract lists the categories of a text column that has at most this many."""


class TrainingPolicy(Policy):
    """Which rows a model is trained on, and how."""

    window: Literal["auto", "all"] | timedelta = "auto"
    """Which rows before the holdout to train on: all history, the newest span of that length, or whichever of several
    candidate windows does best on the newest labelled rows (`auto`)."""
    holdout_share: float = Field(0.2, gt=0, lt=1)
    """The share of the mature rows, the newest, that a model is judged on and has not seen. With a champion it is no
    more than half of the rows that the champion has not seen either."""
    holdout_rows: int = Field(5_000, ge=50)
    """The most rows the holdout may have: more would only keep fresh rows from the training."""
    min_rows: int = Field(100, ge=10)
    """The fewest rows to train on."""
    refit: bool = True
    """After passing the gate, the judged recipe is fitted again on all mature rows, the holdout included, and that
    model serves: the newest rows are worth more to a model in production than to a holdout whose work is done."""
    seed: int = Field(0, ge=0, lt=2**32)
    """Seeds every random choice: the estimator's, the tuning's, the subsampling's."""
    tuning: Tuning | None = None
    """A search over hyperparameters; none by default."""


class ServingPolicy(Policy):
    """What becomes of requests while a challenger waits for approval."""

    challenger: Literal["shadow", "canary", "off"] = "shadow"
    """What it does: answer the same rows as the champion, unheard; answer a share of the requests itself; or nothing.
    In a batch a canary shadows: there every row is answered by both."""
    share: float = Field(0.1, gt=0, le=0.5)
    """The share of the requests that a canary answers, by a hash of the first row's key."""


CRON_FIELDS = 5
"""Minute, hour, day of the month, month, day of the week."""

MIN_INTERVAL = timedelta(seconds=10)
"""A run that starts more often than this would still be busy when the next one is due."""


def _check_trigger(given: str | timedelta) -> str | timedelta:
    if isinstance(given, timedelta):
        if given < MIN_INTERVAL:
            raise ValueError(f"a schedule's interval is at least {MIN_INTERVAL.total_seconds():.0f} seconds")
        return given
    if not given.startswith("@") and len(given.split()) != CRON_FIELDS:
        raise ValueError(f"{given!r} is no cron line: it has five fields, such as '0 3 * * 1' for Mondays at three")
    return given


ScheduleTrigger = Annotated[str | timedelta, AfterValidator(_check_trigger)]
"""A cron line (minute, hour, day of the month, month, day of the week), or how long from one run to the next."""


class Schedule(Policy):
    """When the project's flows run by themselves; never, by default."""

    retrain: ScheduleTrigger | None = None
    """When to train a challenger, whatever the monitor says; most projects leave that to the monitor."""
    monitor: ScheduleTrigger | None = None
    """When to look at the champion and decide."""
    score: ScheduleTrigger | None = None
    """When to score what has come in since the last time."""
    timezone: str = "UTC"
    """The zone that cron lines are read in."""

    @field_validator("timezone")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in available_timezones():
            raise ValueError(f"{name!r} is no time zone such as 'Europe/Berlin'")
        return name


class DeploymentPolicy(Policy):
    """How the project's flows are deployed to a Prefect server."""

    tags: tuple[str, ...] = ()
    """Tags of the deployments and their runs, beside `refit` and the project's name."""
    when_busy: Literal["refuse", "queue"] = "refuse"
    """What happens to a retrain that is started while another one of the project runs: it is cancelled with a sentence,
    or waits for its turn."""
    work_queue: str | None = None
    """The queue of the work pool; the pool's default one, if left out."""
    job_variables: dict[str, Any] = Field(default_factory=dict)
    """What the project's jobs need beyond the work pool's template, such as `{"image": ..., "env": {...}}`. Everybody
    who can see the Prefect server can read them: secrets belong in the worker's environment."""


NotificationEvent = Literal["promotion", "rejection", "approval", "alert", "rollback", "failure"]
"""What may be told: a promotion, a rejected challenger, one that waits for approval, an alert of the monitor, a
champion taken back, a run that failed."""


class NotificationPolicy(Policy):
    """Who hears of what came of a run; nobody, by default."""

    blocks: tuple[str, ...] = ()
    """Prefect notification blocks by type and name, such as `slack-webhook/ml-team`; their addresses and secrets stay
    with Prefect."""
    on: tuple[NotificationEvent, ...] = ("promotion", "approval", "alert", "rollback", "failure")
    """What is told. A rejected challenger is business as usual, so that it is left out unless named."""

    @field_validator("blocks")
    @classmethod
    def _named(cls, blocks: tuple[str, ...]) -> tuple[str, ...]:
        for block in blocks:
            if not re.fullmatch(r"[a-z0-9-]+/[a-zA-Z0-9-]+", block):
                raise ValueError(f"{block!r} is no Prefect block such as 'slack-webhook/ml-team': type, slash, name")
        return blocks

    def notifies(self, occasion: NotificationEvent) -> bool:
        """Whether somebody is to hear of that.

        Args:
            occasion: What has happened.

        Returns:
            True if there is a block to tell and the occasion is one that is told.
        """
        return bool(self.blocks) and occasion in self.on
