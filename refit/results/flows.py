"""What a flow concluded, in the JSON keys that other programs rely on."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from refit.gate.judgements import Judgement
from refit.records.references import Challenger, Champion
from refit.records.snapshots import Ingestion, SnapshotRef


@dataclass(frozen=True, slots=True)
class RetrainOutcome:
    """What one retrain did."""

    project: str
    run_id: str
    """The Prefect flow run."""
    as_of: datetime
    """The instant the retrain looked from, UTC."""
    snapshot: SnapshotRef
    ingestion: Ingestion
    challenger: Challenger
    compared_with: Champion | None
    """The champion the challenger was judged against; `None` while there was none."""
    promotion: Champion | None
    """The challenger as the new champion; `None` where the verdict was to reject it."""
    seconds: float
    """Wall-clock time of the whole flow."""
    judgement: Judgement | None = None
    """What the verdict rests on, the model that was judged included."""

    approval_run: str | None = None
    """The flow run in which a person is asked to approve; `None` where none was started."""

    @property
    def pending(self) -> bool:
        """Whether the challenger is fit to serve and waits for a person."""
        return self.challenger.verdict.promote and self.promotion is None

    @property
    def generation(self) -> int:
        """The generation that serves afterwards; 0 while nothing serves."""
        serving = self.promotion or self.compared_with
        return serving.generation if serving else 0

    def as_json(self) -> dict[str, Any]:
        """Gives the outcome as JSON values.

        Returns:
            The keys of `refit retrain --json`.
        """
        return {
            "project": self.project,
            "run_id": self.run_id,
            "as_of": self.as_of.isoformat(),
            "snapshot": self.snapshot.as_json(),
            "rows": {
                "in": self.ingestion.rows_in,
                "accepted": self.ingestion.accepted,
                "quarantined": self.ingestion.quarantined,
                "added": self.ingestion.added,
                "corrected": self.ingestion.corrected,
            },
            "warnings": list(self.ingestion.warnings),
            "challenger": {
                "version": self.challenger.version,
                "mlflow_run_id": self.challenger.model.run_id,
                "trained_on": self.challenger.model.trained_on.as_json(),
                **self._judged(),
            },
            "champion": {"version": self.compared_with.version} if self.compared_with else None,
            "verdict": {
                "id": self.challenger.verdict_id,
                "promote": self.challenger.verdict.promote,
                "reasons": [asdict(reason) for reason in self.challenger.verdict.reasons],
            },
            "promoted": self.promotion is not None,
            "pending": self.pending,
            "approval_run": self.approval_run,
            "generation": self.generation,
            "seconds": round(self.seconds, 3),
        }

    def _judged(self) -> dict[str, Any]:
        """Tells the judged model from the one that serves, which may be the same recipe fitted again on more rows."""
        judged = self.challenger.judged or self.challenger.model
        bound, holdout = (self.judgement.bound, self.judgement.comparison.holdout) if self.judgement else (None, None)
        return {
            "refitted": self.challenger.judged is not None,
            "bound": asdict(bound) if bound else None,
            "judged_trained_on": judged.trained_on.as_json(),
            "judged_on": holdout.as_json() if holdout else None,
        }
