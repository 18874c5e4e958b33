"""The results of a retrain and of a monitor run, with the JSON keys that other programs rely on."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from refit.gate.evaluations import Judgement
from refit.monitoring.decisions import Decision, Ending
from refit.monitoring.evidence import Evidence, FormerComparison, Performance
from refit.records.drift_findings import Drift
from refit.records.references import Challenger, Champion, Ingestion, SnapshotRef
from refit.records.verdicts import finite_or_none


@dataclass(frozen=True, slots=True)
class RetrainOutcome:
    """The result of one retrain."""

    project: str
    run_id: str
    """The Prefect flow run."""
    as_of: datetime
    """The instant as of which the retrain ran, UTC."""
    snapshot: SnapshotRef
    ingestion: Ingestion
    challenger: Challenger
    compared_with: Champion | None
    """The champion that the challenger was compared with; `None` if there was none."""
    promotion: Champion | None
    """The challenger as the new champion; `None` if it was not promoted."""
    seconds: float
    """Wall-clock time of the whole flow."""
    judgement: Judgement | None = None
    """The evidence of the verdict, including the judged model."""

    approval_run: str | None = None
    """The flow run that asks a person for approval; `None` if none was started."""

    @property
    def pending(self) -> bool:
        """Whether the challenger passed the gate and waits for a person's approval."""
        return self.challenger.verdict.promote and self.promotion is None

    @property
    def ending(self) -> Ending:
        """How the retrain ended: `promoted`, `pending` or `rejected`."""
        return "promoted" if self.promotion else "pending" if self.pending else "rejected"

    @property
    def generation(self) -> int:
        """The generation that serves afterwards; 0 if nothing serves."""
        serving = self.promotion or self.compared_with
        return serving.generation if serving else 0

    def as_json(self) -> dict[str, Any]:
        """Returns the result as JSON values.

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
                "superseded": self.ingestion.superseded,
                "added": self.ingestion.added,
                "corrected": self.ingestion.corrected,
            },
            "late": late_json(self.ingestion),
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
        """Returns the judged model, which may differ from the serving one by a final fit on more rows."""
        judged = self.challenger.judged or self.challenger.model
        bound, holdout = (self.judgement.bound, self.judgement.comparison.holdout) if self.judgement else (None, None)
        return {
            "refitted": self.challenger.judged is not None,
            "bound": asdict(bound) if bound else None,
            "judged_trained_on": judged.trained_on.as_json(),
            "judged_on": holdout.as_json() if holdout else None,
        }


@dataclass(frozen=True, slots=True)
class MonitorOutcome:
    """The result of one monitor run: what it measured, decided and started."""

    evidence: Evidence
    ingestion: Ingestion
    champion: Champion | None
    """The champion that was monitored; `None` if there was none."""
    decision_id: int
    """The ledger entry of the decision."""
    decision: Decision
    nothing_new: bool
    """Whether nothing has changed since that decision, so that it stands and nothing was measured again."""
    retrain: RetrainOutcome | None
    """The result of the retrain, if it ran in this process."""
    started_run: str | None
    """The flow run of the retrain, wherever it runs; `None` if none was started."""
    seconds: float
    """Wall-clock time of the whole flow, including a retrain in this process."""
    rolled_back: Champion | None = None
    """The former champion, if it was restored because the monitored one is worse."""

    @property
    def as_of(self) -> datetime:
        """The instant as of which the monitor ran, UTC."""
        return self.evidence.as_of

    def as_json(self) -> dict[str, Any]:
        """Returns the result as JSON values.

        Returns:
            The keys of `refit monitor --json`.
        """
        found = self.evidence
        return {
            "project": found.project,
            "as_of": found.as_of.isoformat(),
            "champion": {"version": self.champion.version, "generation": found.generation} if self.champion else None,
            "window": {
                "start": found.window.start.isoformat(),
                "end": found.window.end.isoformat(),
                "rows": found.rows,
            },
            "ingested": {"in": self.ingestion.rows_in, "added": self.ingestion.added},
            "drift": drift_json(found.drift),
            "performance": performance_json(found.performance) if found.performance else None,
            "probe": {**asdict(found.probe), "share": found.probe.share, "window": str(found.probe.window)}
            if found.probe
            else None,
            "watch": _watch_json(found.watched) if found.watched else None,
            "rollback": {"version": self.rolled_back.version, "generation": self.rolled_back.generation}
            if self.rolled_back
            else None,
            "withheld": list(found.withheld),
            "decision": {"id": self.decision_id, **self.decision.as_json()},
            "nothing_new": self.nothing_new,
            "retrain": self._retrain(),
            "seconds": round(self.seconds, 3),
        }

    def _retrain(self) -> dict[str, Any] | None:
        if self.started_run is None:
            return None
        return {"run_id": self.started_run, "outcome": self.retrain.as_json() if self.retrain else None}


def late_json(ingestion: Ingestion) -> dict[str, Any] | None:
    """Returns the rows that an ingest passed over as JSON values.

    Args:
        ingestion: The ingest.

    Returns:
        Their number, their event times, and the command that brings them in; `None` if there are none.
    """
    if (late := ingestion.late) is None:
        return None
    return {
        "rows": late.rows,
        "start": late.window.start.isoformat(),
        "end": late.window.end.isoformat(),
        "command": late.write_command(ingestion.project),
    }


def drift_json(found: Drift | None) -> dict[str, Any]:
    """Returns a drift measurement as JSON values.

    Args:
        found: The measurement; `None` if nothing was measured.

    Returns:
        Every column, the share that drifted, the largest PSI of the predictions (null without any), and the model
        that predicted.
    """
    columns = found.columns if found else ()
    scores = found.scores if found else ()
    return {
        "columns": {column.column: column.as_json() for column in columns},
        "share": found.share if found else 0.0,
        "score_psi": max((score.psi for score in scores), default=None),
        "scores": {score.column: score.as_json() for score in scores},
        "scored_by": asdict(found.scored_by) if found and found.scored_by else None,
        "domain": asdict(found.domain) if found and found.domain else None,
        "calibrated": found.calibrated if found else None,
    }


def performance_json(found: Performance) -> dict[str, Any]:
    """Returns a realised score as JSON values.

    Args:
        found: The score, or why it is withheld.

    Returns:
        Its fields, the window as its start and end, the coverage, and the models that the two scores are of.
    """
    return {
        "metric": found.metric,
        "window": {"start": found.window.start.isoformat(), "end": found.window.end.isoformat(), "rows": found.rows},
        "reference": found.reference,
        "reference_of": None if found.reference is None else "judged",
        "current": found.current,
        "current_of": "served",
        "rows_mature": found.rows_mature,
        "coverage": found.coverage,
        "change": found.change,
        "interval": list(found.interval) if found.interval else None,
        "p_value": found.p_value,
        "dropped": found.dropped,
        "withheld": found.withheld,
        "estimate": asdict(found.estimate) if found.estimate else None,
    }


def _watch_json(found: FormerComparison) -> dict[str, Any]:
    return {
        "metric": found.metric,
        "look": found.look,
        "window": {"start": found.window.start.isoformat(), "end": found.window.end.isoformat()},
        "rows": found.rows,
        "champion": finite_or_none(found.champion.value),
        "former": {"version": found.former_version, "value": finite_or_none(found.former.value)},
    }
