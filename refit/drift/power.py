"""False-alarm rate and power of a project's drift alarms: result values, and the changes that are applied to data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy import stats

from refit.drift.alarms import find_persistent
from refit.policies.monitoring import DriftPolicy
from refit.records.drift_findings import Drift

LIMIT = 0.01
"""The share of windows without drift that may alarm."""
MEAN, SCALE, SHARE = 0.2, 1.25, 0.1
"""The sizes of the changes: in standard deviations, as a factor about the mean, and as a share of the rows."""
CHANGES = ("mean + 0.2 sd", "scale x 1.25", "missing + 10 points", "category shares 0.1")
"""The names of the changes."""


@dataclass(frozen=True, slots=True)
class CalibrationResult:
    """The false-alarm rate and power of a project's alarms."""

    project: str
    length: timedelta
    """How long a window is."""
    window_rows: int
    """The median number of rows of the windows."""
    reference_rows: int
    """The median number of rows that they were compared with."""
    windows: int
    """Windows without a change that were judged, each with the one before it."""
    alarms: int
    """In so many of them an alarm fired, persistence included."""
    calibrated: bool
    """Whether the reference knows its own natural movement; else stricter floors were used."""
    found: Mapping[str, Mapping[str, float]]
    """By change and column: in which share of the stretches of time it was found within two windows."""

    @property
    def false_alarm_rate(self) -> float:
        """The share of windows without a change in which an alarm fired."""
        return self.alarms / self.windows

    @property
    def interval(self) -> tuple[float, float]:
        """What the rate may be at 95 % (Clopper and Pearson 1934), as if the windows did not overlap."""
        low, high = stats.binomtest(self.alarms, self.windows).proportion_ci()
        return float(low), float(high)

    @property
    def power(self) -> dict[str, float]:
        """By change: how often it was found, over columns and stretches of time."""
        return {change: sum(columns.values()) / len(columns) for change, columns in self.found.items()}

    def as_json(self) -> dict[str, Any]:
        """Returns the keys of `refit calibrate --json`."""
        return {
            "project": self.project,
            "window": {"seconds": self.length.total_seconds(), "rows": self.window_rows},
            "reference": {"rows": self.reference_rows},
            "windows": self.windows,
            "false_alarm_rate": self.false_alarm_rate,
            "interval": list(self.interval),
            "limit": LIMIT,
            "calibrated": self.calibrated,
            "power": self.power,
            "columns": {change: dict(columns) for change, columns in self.found.items()},
        }


def any_alarm(windows: Sequence[Drift], policy: DriftPolicy) -> bool:
    """Tells whether an alarm has fired by the end of consecutive windows.

    Args:
        windows: Oldest first, none overlapping.
        policy: For persistence.

    Returns:
        Whether something lasted, or was huge at once in any of them.
    """
    return any(find_persistent(windows[: place + 1], policy) for place in range(len(windows)))


def applicable_changes(values: pa.ChunkedArray) -> tuple[str, ...]:
    """Returns the changes that can be applied to a column.

    Args:
        values: The column.

    Returns:
        Some of `CHANGES`.
    """
    numeric = pa.types.is_integer(values.type) or pa.types.is_floating(values.type)
    varied = len(pc.unique(values.drop_null())) > 1
    if numeric:
        return CHANGES[:3] if varied else CHANGES[2:3]
    textual = pa.types.is_string(values.type) or pa.types.is_large_string(values.type)
    return CHANGES[2:] if textual and varied else CHANGES[2:3]


def apply_change(
    values: pa.ChunkedArray, change: str, whole: pa.ChunkedArray, rng: np.random.Generator
) -> pa.ChunkedArray:
    """Applies a change to the values of a window.

    Args:
        values: The window's values.
        change: One of `applicable_changes`.
        whole: The reference's values, which give mean, standard deviation and categories.
        rng: Draws the rows that go missing, to another category, or to the next whole number.

    Returns:
        The changed values.
    """
    hit = pa.array(rng.random(len(values)) < SHARE)
    if change == CHANGES[2]:
        return pc.if_else(hit, pa.scalar(None, values.type), values)
    if change == CHANGES[3]:
        return _to_rarest(values, whole, rng)
    known = pc.cast(whole, pa.float64(), safe=False)
    known = known.filter(pc.fill_null(pc.is_finite(known), False))  # noqa: FBT003 - the value to fill with
    mean, spread = pc.mean(known).as_py(), pc.stddev(known).as_py()
    numbers = pc.cast(values, pa.float64(), safe=False)
    if change == CHANGES[0]:
        moved = pc.add(numbers, MEAN * spread)
    else:
        moved = pc.add(pc.multiply(pc.subtract(numbers, mean), SCALE), mean)
    # A whole number stays one: it is rounded up as often as keeps the mean, or the change would vanish in its bin.
    return pc.floor(pc.add(moved, pa.array(rng.random(len(values))))) if _is_integral(known) else moved


def _is_integral(numbers: pa.ChunkedArray) -> bool:
    return bool(pc.all(pc.equal(numbers, pc.floor(numbers))).as_py())


def _to_rarest(values: pa.ChunkedArray, whole: pa.ChunkedArray, rng: np.random.Generator) -> pa.ChunkedArray:
    """Moves a tenth of all rows from the most frequent category to the rarest: total variation 0.1."""
    counts = sorted(pc.value_counts(whole.drop_null()).to_pylist(), key=lambda each: (each["counts"], each["values"]))
    rarest, common = counts[0]["values"], counts[-1]["values"]
    share = min(1.0, SHARE * len(whole) / counts[-1]["counts"])
    from_common = pc.fill_null(pc.equal(values, common), False)  # noqa: FBT003 - the value to fill with
    return pc.if_else(pc.and_(from_common, pa.array(rng.random(len(values)) < share)), rarest, values)
