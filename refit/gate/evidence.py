"""What was measured about a challenger beside its scores: small values that the ledger keeps, one group a rule."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Calibration:
    """How far predicted probabilities lie from the shares that came true."""

    challenger: float
    """The calibration error, 0 is perfect; probabilities."""
    champion: float | None
    """The champion's on the same rows; `None` without one."""
    deviation: float | None
    """The standard error of their difference; `None` where it cannot be told."""


@dataclass(frozen=True, slots=True)
class Slice:
    """One part of the holdout: the rows with a certain category, or of a certain time of day."""

    name: str
    """What its rows have in common, such as `carrier = nord`."""
    rows: int
    challenger: float
    """The mean loss of its rows: the squared error of probabilities (Brier), or the absolute error."""
    other: float
    """The champion's mean loss on the same rows; the trivial model's while there is no champion."""
    gains: tuple[float, ...]
    """The other's mean loss minus the challenger's, in consecutive blocks of the slice's rows; higher is better."""


@dataclass(frozen=True, slots=True)
class Group:
    """How the rows of one value of the sensitive column are treated."""

    name: str
    rows: int
    selected: float
    """The share of rows that get the positive class."""
    true_positive: float | None
    """The share of the truly positive ones that get it; `None` where there are none."""
    false_positive: float | None
    """The share of the truly negative ones that get it; `None` where there are none."""


@dataclass(frozen=True, slots=True)
class Fairness:
    """How differently groups are treated, by one decision threshold for all."""

    column: str
    groups: tuple[Group, ...]
    """All groups, those with too few rows to be judged included."""
    demographic_parity: float | None
    """The largest difference between groups with enough rows in `selected`; `None` with fewer than two of them."""
    equalized_odds: float | None
    """The larger of the largest differences in `true_positive` and in `false_positive`; `None` likewise."""


@dataclass(frozen=True, slots=True)
class PredictionSanity:
    """What the challenger's predictions look like as numbers."""

    rows: int
    invalid: int
    """How many are NaN or infinite."""
    outside: int
    """How many lie outside the range: probabilities outside 0 to 1, numbers outside that of the policy."""
    distinct: int
    """How many different ones there are."""
    low: float | None
    """The lower end of the range allowed; `None` where there is none."""
    high: float | None


@dataclass(frozen=True, slots=True)
class Inputs:
    """What the challenger looks at."""

    features: tuple[str, ...]
    """The columns it was fitted on, in its order."""
    expected: tuple[str, ...]
    """The project's features."""
    strongest: str | None
    """The feature that alone predicts best; `None` where it was not looked for."""
    strength: float | None
    """The share of the trivial model's loss that a small tree on that feature alone removes, on the holdout."""


@dataclass(frozen=True, slots=True)
class Case:
    """One way in which a request may differ from the rows of the holdout, and how the model served it."""

    name: str
    """Such as `column order`."""
    passed: bool
    sentence: str
    """What was asked, and what came of it."""


@dataclass(frozen=True, slots=True)
class SandboxRun:
    """How the stored model behaves in a fresh process, as it would when it serves."""

    rows: int
    """How many rows it predicted there."""
    difference: float | None
    """The largest absolute difference from the predictions of the judging process; 0 for equal classes, `None` where
    there were no comparable predictions."""
    cases: tuple[Case, ...]
    load_seconds: float | None
    latency_ms: float | None
    """The median time of a prediction of one row."""
    size_bytes: int
    """Of all files of the stored model."""
    fault: str | None = None
    """Why it could not be loaded or asked, in a sentence."""
    fingerprint: str = ""
    """SHA-256 of its answers to these rows, by which the stored model is known again; empty where it gave none."""


@dataclass(frozen=True, slots=True)
class Eligibility:
    """How the challenger stands to the champion and to the rows it is judged on."""

    trained_until: datetime
    """Just after the newest row that the challenger was trained on, UTC."""
    champion_until: datetime | None
    """The same of the champion's model that it is compared with; `None` without one."""
    holdout_from: datetime
    """Where the holdout begins, UTC."""
    same_answers: bool
    """Whether challenger and champion predict exactly the same for all rows of the holdout."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that was measured beside the scores; a part that is `None` was not measured, and its rule is left out."""

    standing: Eligibility | None = None
    calibration: Calibration | None = None
    slices: tuple[Slice, ...] | None = None
    fairness: Fairness | None = None
    answers: PredictionSanity | None = None
    inputs: Inputs | None = None
    rehearsal: SandboxRun | None = None


UNMEASURED = Evidence()
"""Nothing was measured beside the scores, as in a replay of history."""
