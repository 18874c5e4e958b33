"""The policies for data, training, tuning, serving, schedules, deployments and notifications; each has a default."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any, Literal
from zoneinfo import available_timezones

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator


class _Dimension(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class IntRange(_Dimension):
    """Integers from `low` to `high`, both included."""

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
    """One of several values."""

    kind: Literal["choice"] = "choice"
    options: tuple[bool | int | float | str | None, ...] = Field(min_length=1)


Dimension = Annotated[IntRange | FloatRange | Choice, Field(discriminator="kind")]


class Tuning(BaseModel):
    """A search over the hyperparameters of the project's estimator; requires the extra `refit-ml[tune]`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    space: dict[str, Dimension]
    """Parameter names, as `set_params` takes them (`model__max_depth`), and their dimensions."""
    trials: int = Field(20, ge=1, le=10_000)
    """The number of trials of the whole study, including those of resumed runs."""

    @model_validator(mode="after")
    def _bounds_in_order(self) -> Tuning:
        for name, dimension in self.space.items():
            if not isinstance(dimension, Choice) and dimension.low > dimension.high:
                raise ValueError(
                    f"tuning.space[{name!r}] has low={dimension.low} above high={dimension.high}: swap them"
                )
        return self


class Policy(BaseModel):
    """The base of all policies: immutable, and a misspelt key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class IngestionPolicy(Policy):
    """How rows are ingested and kept."""

    lateness: timedelta = Field(timedelta(days=1), ge=timedelta(0))
    """How far before the newest ingested event time each ingest reloads late and corrected rows.

    The label delay is added to it, since labels arrive as corrections of rows that were ingested without one.
    """
    keep: timedelta | None = Field(None, gt=timedelta(0))
    """How long a row is kept, by its event time: `refit prune` removes older rows from the table and the quarantine.
    Table versions that a kept model was trained or evaluated on stay until that model is removed. `None` keeps all
    rows."""
    piece_rows: int = Field(250_000, ge=1_000)
    """The number of rows in memory at a time; larger frames from `load` are split into pieces of this size."""


class ContractPolicy(Policy):
    """How strict the data contract is, apart from the project's expectations."""

    quarantine_limit: float = Field(0.05, ge=0, le=1)
    """The share of a batch's rows that may be quarantined before the whole batch is rejected, from 0 to 1."""
    min_rows: int = Field(1, ge=0)
    """The fewest rows of an ingest that finds any rows."""
    freshness: timedelta | None = Field(None, gt=timedelta(0))
    """The largest age of the newest row at the end of the load; `None` is no limit."""
    added_columns: Literal["refuse", "ignore", "add"] = "refuse"
    """The treatment of a column that the table does not have: reject the batch, drop the column, or add it to the
    table, where it is missing in older rows."""
    range_slack: float = Field(10.0, ge=0)
    """How far beyond the reference range a number may lie in a derived contract, as a multiple of that range's width or
    largest magnitude, whichever is larger: wide enough for a season or for growth, too narrow for another unit."""
    category_limit: int = Field(50, ge=1)
    """The most distinct values of a text column whose categories a derived contract lists."""


class TrainingPolicy(Policy):
    """Which rows a model is trained on, and how."""

    window: Literal["auto", "all"] | timedelta = "auto"
    """The rows before the holdout to train on: all history, the newest span of this length, or the best of several
    candidate windows on the newest labelled rows (`auto`)."""
    holdout_share: float = Field(0.2, gt=0, lt=1)
    """The share of the mature rows, the newest, that a model is evaluated on and not trained on, between 0 and 1. With
    a champion it is at most half of the rows that the champion has not seen either."""
    holdout_rows: int = Field(5_000, ge=50)
    """The most rows of the holdout; more would only keep new rows out of the training."""
    min_rows: int = Field(100, ge=10)
    """The fewest rows to train on."""
    refit: bool = True
    """Whether a pipeline that passes the gate is fitted again on all mature rows, including the holdout, and that model
    serves: the newest rows are worth more in training than in a holdout that is no longer needed."""
    seed: int = Field(0, ge=0, lt=2**32)
    """The seed of every random choice: of the estimator, of tuning, of sampling."""
    tuning: Tuning | None = None
    """A search over hyperparameters; none by default."""


class ServingPolicy(Policy):
    """The role of a challenger in serving while it waits for approval."""

    challenger: Literal["shadow", "canary", "off"] = "shadow"
    """`shadow` predicts the champion's rows without returning the predictions, `canary` answers a share of the
    requests, `off` does nothing. In a batch a canary acts as a shadow: all rows are predicted by both."""
    share: float = Field(0.1, gt=0, le=0.5)
    """The share of the requests that a canary answers, by a hash of the first row's key."""


CRON_FIELDS = 5
"""Minute, hour, day of the month, month, day of the week."""

MIN_INTERVAL = timedelta(seconds=10)
"""The shortest interval; a shorter one would start a run while the previous one is still running."""


def _check_trigger(trigger: str | timedelta) -> str | timedelta:
    if isinstance(trigger, timedelta):
        if trigger < MIN_INTERVAL:
            raise ValueError(
                f"the interval {trigger} is too short: use at least {MIN_INTERVAL.total_seconds():.0f} seconds"
            )
        return trigger
    if not trigger.startswith("@") and len(trigger.split()) != CRON_FIELDS:
        raise ValueError(f"{trigger!r} is not a cron line: write five fields, such as '0 3 * * 1' for Mondays at 03:00")
    return trigger


ScheduleTrigger = Annotated[str | timedelta, AfterValidator(_check_trigger)]
"""A cron line (minute, hour, day of the month, month, day of the week), or the interval between runs."""


class Schedule(Policy):
    """When the project's flows run on their own; never by default."""

    retrain: ScheduleTrigger | None = None
    """When to retrain, independently of the monitor; most projects leave this to the monitor."""
    monitor: ScheduleTrigger | None = None
    """When to monitor the champion and decide."""
    score: ScheduleTrigger | None = None
    """When to score the rows that have arrived since the last run."""
    timezone: str = "UTC"
    """The time zone of cron lines."""

    @field_validator("timezone")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in available_timezones():
            raise ValueError(f"{name!r} is not a time zone: use a name such as 'Europe/Berlin'")
        return name


class DeploymentPolicy(Policy):
    """How the project's flows are deployed to a Prefect server."""

    tags: tuple[str, ...] = ()
    """Tags of the deployments and their runs, in addition to `refit` and the project's name."""
    when_busy: Literal["refuse", "queue"] = "refuse"
    """What happens to a retrain that is started while another one of the project runs: it is cancelled with a message,
    or waits."""
    work_queue: str | None = None
    """The queue of the work pool; by default the pool's default queue."""
    job_variables: dict[str, Any] = Field(default_factory=dict)
    """Additions to the work pool's job template, such as `{"image": ..., "env": {...}}`. Everybody with access to the
    Prefect server can read them: secrets belong in the worker's environment."""


NotificationEvent = Literal["promotion", "rejection", "approval", "alert", "rollback", "failure"]
"""An event that can be notified: a promotion, a rejected challenger, a challenger that waits for approval, an alert of
the monitor, a rollback, a failed run."""


class NotificationPolicy(Policy):
    """Which events of a project are notified, and to whom; nobody by default."""

    blocks: tuple[str, ...] = ()
    """Prefect notification blocks by type and name, such as `slack-webhook/ml-team`; Prefect stores their addresses and
    secrets."""
    on: tuple[NotificationEvent, ...] = ("promotion", "approval", "alert", "rollback", "failure")
    """The events to notify. A rejected challenger is routine, so it is not among the defaults."""

    @field_validator("blocks")
    @classmethod
    def _named(cls, blocks: tuple[str, ...]) -> tuple[str, ...]:
        for block in blocks:
            if not re.fullmatch(r"[a-z0-9-]+/[a-zA-Z0-9-]+", block):
                raise ValueError(f"{block!r} is not a Prefect block: write TYPE/NAME, such as 'slack-webhook/ml-team'")
        return blocks

    def notifies(self, occasion: NotificationEvent) -> bool:
        """Returns whether an event is notified.

        Args:
            occasion: The event.

        Returns:
            True if the policy has a block and includes the event.
        """
        return bool(self.blocks) and occasion in self.on
