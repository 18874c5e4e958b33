"""A project's policies: what it asks of its data and its training. Every one has a default."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from refit.policies.tuning import Tuning


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
