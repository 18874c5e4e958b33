"""Where challengers of the self-test are tried: rows, a champion, and a challenger on them."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
from sklearn.base import BaseEstimator

from refit.project import Project
from refit.records.snapshots import SnapshotRef
from refit.windows import Window
from refit_tasks.training.fit import fit


@dataclass(frozen=True, slots=True)
class Bench:
    """The rows and the champion that challengers are tried against."""

    definition: Project
    old: pd.DataFrame
    """What the champion was fitted on."""
    train: pd.DataFrame
    """What an honest challenger is fitted on: newer rows as well."""
    holdout: pd.DataFrame
    """Rows that neither has seen, in the order of their event times."""
    champion: BaseEstimator

    def fitted(self, rows: pd.DataFrame) -> BaseEstimator:
        """Fits the project's estimator.

        Args:
            rows: Labelled rows.

        Returns:
            The model.
        """
        return fit(self.definition, rows, {})

    def ref(self, rows: pd.DataFrame) -> SnapshotRef:
        """Names rows as a snapshot that no table holds.

        Args:
            rows: In the order of their event times.

        Returns:
            The reference: project, window and count.
        """
        times = rows[self.definition.timestamp]
        window = Window(times.iloc[0].to_pydatetime(), times.iloc[-1].to_pydatetime() + pd.Timedelta(microseconds=1))
        return SnapshotRef(self.definition.name, 0, window, len(rows), "", labelled=True)


@dataclass(frozen=True, slots=True)
class Plant:
    """One challenger, ready to be judged."""

    model: BaseEstimator
    trained_on: SnapshotRef
    bench: Bench
    """What it is judged on; another one than the honest one where a column was added."""
    padding: int = 0
    """How many bytes lie beside the stored model."""
