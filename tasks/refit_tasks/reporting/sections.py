"""The sections of the HTML report, as plain values of bounded size for the template."""

from __future__ import annotations

from typing import Any

from refit.gate.evaluations import Judgement
from refit.monitoring.decide import RetrainRecord
from refit.monitoring.decisions import Decision, Finding
from refit.monitoring.evidence import Evidence
from refit.records.ledger import Entry, from_payload
from refit.records.references import Champion
from refit_tasks.ledger.history import MAX_LISTED, ProjectHistory, decision_time, event_marks, score_points
from refit_tasks.presentation.charts import draw_performance
from refit_tasks.presentation.markdown import data_uri, number, shorten
from refit_tasks.presentation.measurements import describe_performance, describe_probe

SHARP = 2.0
"""Pixels of a picture's file per pixel of the browser."""

MOST_FIRED = 6
"""The most reasons that are told of a former decision or verdict."""

Part = dict[str, Any]


def champion_part(champion: Champion | None) -> Part | None:
    """Says who serves.

    Args:
        champion: The champion, or `None` while there is none.

    Returns:
        Its version, age and training rows.
    """
    if champion is None:
        return None
    rows = champion.model.trained_on
    return {
        "version": champion.version,
        "generation": champion.generation,
        "since": f"{champion.since:%Y-%m-%d %H:%M}",
        "rows": f"{rows.rows:,}",
        "start": f"{rows.window.start:%Y-%m-%d %H:%M}",
        "end": f"{rows.window.end:%Y-%m-%d %H:%M}",
    }


def newest_part(record: ProjectHistory) -> Part | None:
    """Tells the newest decision with every reason.

    Args:
        record: The project's past.

    Returns:
        The decision, its findings and what was measured; `None` where nothing was decided yet.
    """
    if not record.decisions:
        return None
    entry = record.decisions[0]
    evidence = from_payload(Evidence, entry.payload["evidence"])
    decision = from_payload(Decision, entry.payload["decision"])
    measured = (*describe_performance(evidence.performance), *describe_probe(evidence.probe), *evidence.withheld)
    return {
        **_decision(entry, decision),
        "window": f"{evidence.window.start:%Y-%m-%d %H:%M} to {evidence.window.end:%Y-%m-%d %H:%M}",
        "rows": f"{evidence.rows:,}",
        "findings": [_finding(found) for found in decision.findings],
        "measured": [shorten(sentence, 600) for sentence in measured],
    }


def performance_part(record: ProjectHistory) -> Part | None:
    """Draws the realised scores over time.

    Args:
        record: The project's past.

    Returns:
        The picture and what it shows; `None` where no window was scored yet.
    """
    metric, scored = score_points(record)
    if not scored:
        return None
    drawn = draw_performance(metric, scored, event_marks(record), SHARP)
    return {
        "metric": shorten(metric, 60),
        "count": len(scored),
        "decided": record.decided,
        "read": len(record.sampled),
        "newest": number(scored[-1].score),
        "interval": [number(edge) for edge in scored[-1].interval or ()],
        "baseline": number(scored[-1].reference),
        "end": f"{scored[-1].at:%Y-%m-%d %H:%M}",
        "uri": data_uri(drawn),
    }


def decisions_part(record: ProjectHistory) -> list[Part]:
    """Lists the newest decisions.

    Args:
        record: The project's past.

    Returns:
        One part each, the newest first, with the findings that fired.
    """
    return [_decision(entry, from_payload(Decision, entry.payload["decision"])) for entry in record.decisions]


def retrains_part(record: ProjectHistory) -> list[Part]:
    """Lists how the newest retrains ended.

    Args:
        record: The project's past.

    Returns:
        One part each, the newest first.
    """
    return [_retrain(entry) for entry in record.retrains[:MAX_LISTED]]


def verdicts_part(record: ProjectHistory) -> list[Part]:
    """Lists the newest verdicts.

    Args:
        record: The project's past.

    Returns:
        One part each, the newest first, with the rules that decided.
    """
    return [_verdict(entry) for entry in record.verdicts]


def _decision(entry: Entry, decision: Decision) -> Part:
    fired = [shorten(sentence, 200) for sentence in decision.reasons]
    return {
        "id": entry.id,
        "seen_from": f"{decision_time(entry):%Y-%m-%d %H:%M}",
        "action": decision.action,
        "trigger": decision.trigger or "",
        "fired": fired[:MOST_FIRED] or ["nothing fired"],
    }


def _retrain(entry: Entry) -> Part:
    ended = from_payload(RetrainRecord, entry.payload)
    return {
        "id": entry.id,
        "at": f"{entry.at:%Y-%m-%d %H:%M}",
        "ending": ended.ending,
        "decision": ended.decision,
        "verdict": ended.verdict,
        "minutes": f"{ended.minutes:.1f}",
        "sentence": shorten(ended.error or (f"version {ended.version}" if ended.version else ""), 300),
    }


def _finding(found: Finding) -> Part:
    return {
        "check": shorten(found.check, 40),
        "fired": found.fired,
        "value": number(found.value),
        "limit": number(found.limit),
        "sentence": shorten(found.sentence, 300),
    }


def _verdict(entry: Entry) -> Part:
    judgement = from_payload(Judgement, entry.payload)
    decisive = [reason.sentence for reason in judgement.verdict.reasons if reason.passed == judgement.verdict.promote]
    return {
        "id": entry.id,
        "at": f"{entry.at:%Y-%m-%d %H:%M}",
        "version": entry.payload["version"],
        "promote": judgement.verdict.promote,
        "reason": shorten(judgement.reason, 120),
        "sentences": [shorten(sentence, 200) for sentence in decisive[:MOST_FIRED]],
    }
