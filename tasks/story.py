"""The story of a ledger entry, in sentences."""

from __future__ import annotations

from typing import Any

from refit.judgements import Judgement
from refit.ledger import Entry, from_payload
from refit.models import Champion
from refit.snapshots import SnapshotRef


def story(entry: Entry) -> list[str]:
    """Tells what an entry records.

    Args:
        entry: An entry of the ledger.

    Returns:
        Sentences: what happened, and why.
    """
    told = {"verdict": _verdict, "promotion": _promotion, "contract": _contract}[entry.kind]
    return [f"Entry {entry.id}, {entry.at:%Y-%m-%d %H:%M:%S} UTC, {entry.project}: {entry.kind}.", *told(entry.payload)]


def _verdict(payload: dict[str, Any]) -> list[str]:
    judgement = from_payload(Judgement, payload)
    against = f"champion version {judgement.over.version}" if judgement.over else "a trivial baseline, no champion yet"
    return [
        f"Version {payload['version']} was trained on {_rows(judgement.model.trained_on)}; "
        f"the run was started as: {judgement.reason}.",
        f"It was judged against {against}, on {_rows(judgement.comparison.holdout)}, which no model had seen.",
        *(f"{'Passed' if r.passed else 'Failed'}, {r.check}: {r.sentence}." for r in judgement.verdict.reasons),
        "So it may serve." if judgement.verdict.promote else "So it was rejected, and nothing was promoted.",
    ]


def _promotion(payload: dict[str, Any]) -> list[str]:
    champion = from_payload(Champion, payload["champion"])
    former = f"version {payload['former']['version']}" if payload["former"] else "nothing"
    return [
        f"Version {champion.version} became champion, generation {champion.generation}, in place of {former}.",
        f"It was trained on {_rows(champion.model.trained_on)}.",
        f"The verdict that allowed it: refit why {payload['verdict_id']}.",
    ]


def _contract(payload: dict[str, Any]) -> list[str]:
    rules = payload["rules"]
    return [
        f"A data contract of {len(rules)} rules was derived from the reference data.",
        *(f"{rule['severity']}: {rule['type']} {rule['kwargs']}" for rule in rules),
    ]


def _rows(ref: SnapshotRef) -> str:
    start, end = ref.window.start, ref.window.end
    return f"{ref.rows:,} rows from {start:%Y-%m-%d %H:%M} until {end:%Y-%m-%d %H:%M} (table version {ref.version})"
