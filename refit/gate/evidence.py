"""Evidence about a challenger besides its scores: small values that the ledger keeps, a class for each rule."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Calibration:
    """How far predicted probabilities lie from observed frequencies."""

    challenger: float
    """The calibration error, 0 to 1; 0 is perfect."""
    champion: float | None
    """The champion's on the same rows; `None` without a champion."""
    deviation: float | None
    """The standard error of their difference; `None` where it cannot be estimated."""


@dataclass(frozen=True, slots=True)
class Slice:
    """The loss on one part of the holdout, such as the rows of one category or time of day."""

    name: str
    """What its rows share, such as `carrier = nord`."""
    rows: int
    challenger: float
    """The challenger's loss on its rows, in the metric's unit; 0 is perfect."""
    other: float
    """The champion's loss on the same rows; the trivial model's without a champion."""
    gains: tuple[float, ...]
    """`other` minus `challenger` in consecutive blocks of the slice's rows; higher is better. Empty where the metric is
    undefined."""
    metric: str = ""
    """The scorer's name. Empty in records of former releases, whose losses are the squared error of probabilities
    (Brier) or the absolute error, whatever the project's metric."""
    error: float | None = None
    """The standard error of `other` minus `challenger`; `None` in records of former releases."""
    freedom: float | None = None
    """Its degrees of freedom; `None` in records of former releases."""
    undefined: str | None = None
    """Why the metric cannot be estimated on its rows, in a clause; the losses are 0 then."""


@dataclass(frozen=True, slots=True)
class Group:
    """The rates of one group: the rows with one value of the sensitive column."""

    name: str
    rows: int
    selected: float
    """The selection rate: the share of rows predicted as positive."""
    true_positive: float | None
    """The share of positive rows predicted as positive; `None` without positive rows."""
    false_positive: float | None
    """The share of negative rows predicted as positive; `None` without negative rows."""
    positives: int | None = None
    """How many of its rows are positive; `None` in records of releases that did not keep it."""


@dataclass(frozen=True, slots=True)
class Fairness:
    """Differences between groups, at one decision threshold for all."""

    column: str
    groups: tuple[Group, ...]
    """All groups, including those with too few rows to be judged."""
    demographic_parity: float | None
    """The largest difference between groups with enough rows in `selected`; `None` with fewer than two of them."""
    equalized_odds: float | None
    """The larger of the largest differences in `true_positive` and in `false_positive`; `None` likewise."""


@dataclass(frozen=True, slots=True)
class PredictionSanity:
    """Counts of the challenger's invalid, out-of-range and distinct predictions."""

    rows: int
    invalid: int
    """How many are NaN or infinite."""
    outside: int
    """How many lie outside the range: 0 to 1 for probabilities, the policy's range for numbers."""
    distinct: int
    """How many distinct ones there are."""
    low: float | None
    """The lower end of the allowed range; `None` without one."""
    high: float | None
    """The upper end of the allowed range; `None` without one."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """The features that the challenger uses, and the one that predicts best by itself."""

    features: tuple[str, ...]
    """The columns it was fitted on, in that order."""
    expected: tuple[str, ...]
    """The project's features."""
    strongest: str | None
    """The feature that predicts best by itself; `None` if none was tested."""
    strength: float | None
    """The share of the trivial model's loss that a small model of that feature alone removes on the holdout, at most
    1."""


@dataclass(frozen=True, slots=True)
class Case:
    """A variation of a request, such as another column order, and how the model served it."""

    name: str
    """Such as `column order`."""
    passed: bool
    sentence: str
    """The request and its outcome, for people."""


@dataclass(frozen=True, slots=True)
class SandboxRun:
    """How the stored model behaves in a fresh process, as it would in production."""

    rows: int
    """How many rows it predicted."""
    difference: float | None
    """The largest absolute difference from the predictions of the judging process; 0 for equal classes, `None` without
    comparable predictions."""
    cases: tuple[Case, ...]
    load_seconds: float | None
    """How long it took to load; `None` if it could not be loaded."""
    latency_ms: float | None
    """The median time of a prediction of one row; `None` if it did not predict."""
    size_bytes: int
    """The size of all files of the stored model."""
    fault: str | None = None
    """Why it could not be loaded or did not predict, in a sentence."""
    fingerprint: str = ""
    """SHA-256 of its predictions of these rows, which identifies the stored model; empty without predictions."""


@dataclass(frozen=True, slots=True)
class Eligibility:
    """What decides whether the challenger may be compared at all: the ages of the models, and whether they differ."""

    trained_until: datetime
    """Just after the newest row that the challenger was trained on, UTC."""
    champion_until: datetime | None
    """The same of the champion's model that it is compared with; `None` without a champion."""
    holdout_from: datetime
    """The start of the holdout, UTC."""
    same_answers: bool
    """Whether the predictions of challenger and champion are identical on every row of the holdout."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """All evidence besides the scores. A part that is `None` was not measured, and its rules are left out."""

    standing: Eligibility | None = None
    calibration: Calibration | None = None
    slices: tuple[Slice, ...] | None = None
    fairness: Fairness | None = None
    answers: PredictionSanity | None = None
    inputs: Inputs | None = None
    rehearsal: SandboxRun | None = None


UNMEASURED = Evidence()
"""No evidence besides the scores, as in a backtest."""
