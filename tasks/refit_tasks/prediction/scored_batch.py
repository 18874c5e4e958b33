"""What is gathered while the rows of a batch are answered piece by piece: answers, their profile, event times."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from refit.data.split import span
from refit.drift.comparison import Reference, compare
from refit.drift.profile import Profile
from refit.errors import ModelError
from refit.inference.prediction_summary import outputs
from refit.inference.spreads import Spread, spread_of
from refit.modelling.predictions import Predictions
from refit.project import Project
from refit.records.drift_findings import Drift
from refit.windows import Window
from refit_tasks.monitoring.drift import added
from refit_tasks.prediction.input_rows import Admitted
from refit_tasks.prediction.scorers import Scorer
from refit_tasks.prediction.write_predictions import Staged
from refit_tasks.runs.progress import Gauge

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Batch:
    """A batch while it is answered."""

    definition: Project
    area: Path
    reference: Reference | None
    """What the champion was trained on; `None` where that is not compared."""
    said: list[Staged] = field(default_factory=list)
    """What each version said, the champion first."""
    data: Profile | None = None
    scores: Profile | None = None
    times: list[np.ndarray] = field(default_factory=list)
    silent: tuple[str, ...] = ()
    """Why a shadow has not answered."""

    def score(self, admitted: Admitted, first: Scorer, second: Scorer | None, run: str | None) -> None:
        """Has all versions answer; a shadow that cannot takes no other's answers with it.

        Args:
            admitted: The rows.
            first: The champion.
            second: The version that shadows it, if any.
            run: The flow run, for the record.

        Raises:
            ModelError: If the champion cannot answer.
        """
        gauge, done = Gauge(self.definition.name, "scoring"), 0
        self.said = [Staged.begun(one.asked, self.area) for one in (first, second) if one]
        for piece in admitted.sieve.accepted():
            answers = first.answer(piece)
            self.said[0].add(first.recorded(self.definition, piece, answers, run))
            self._profile(piece, answers)
            self.times.append(piece[self.definition.timestamp].cast(pa.int64()).to_numpy())
            if second and len(self.said) > 1:
                self._shadow(second, piece, run)
            done += piece.num_rows
            gauge.show(done, admitted.sieve.accepted_rows)

    @property
    def span(self) -> Window | None:
        """The event times of all rows."""
        return span(np.concatenate(self.times)) if self.times else None

    def skew(self) -> Drift | None:
        """Holds the rows, and what the champion said of them, against those that it was trained on.

        Returns:
            What was found; `None` where there is no reference, or there are too few rows.
        """
        policy = self.definition.monitoring.drift
        if policy is None or self.reference is None or self.data is None or self.data.rows < policy.min_rows:
            return None
        return compare(self.reference, self.data, self.scores, span(np.concatenate(self.times)), policy)

    def spreads(self) -> tuple[tuple[str, Spread], ...]:
        """Counts what each version said, in the champion's cells.

        Returns:
            The spreads by the versions' names.
        """
        ends, found = None, []
        for one in self.said:
            if spread := spread_of(one.pieces, ends):
                ends = spread.ends
                found.append((f"{one.asked.role}, version {one.asked.version}", spread))
        return tuple(found)

    def _shadow(self, second: Scorer, piece: pa.Table, run: str | None) -> None:
        try:
            self.said[1].add(second.recorded(self.definition, piece, second.answer(piece), run))
        except ModelError as fault:
            self.silent = (f"the shadow, version {second.asked.version}, cannot answer: {fault}",)
            log.warning("%s: %s", self.definition.name, self.silent[0])
            del self.said[1]

    def _profile(self, piece: pa.Table, answers: Predictions) -> None:
        known = self.reference
        if known is None or not set(known.data.columns) <= set(piece.column_names):
            return
        timestamp = self.definition.timestamp
        self.data = added(self.data, piece, known.data.anchors.unblocked(), timestamp)
        if known.scores:
            said = outputs(answers).append_column(timestamp, piece[timestamp])
            self.scores = added(self.scores, said, known.scores.anchors.unblocked(), timestamp)
