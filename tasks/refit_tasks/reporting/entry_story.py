"""The story of a ledger entry, in sentences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from refit.gate.evaluations import Judgement
from refit.monitoring.decide import DecisionRecord, RetrainRecord
from refit.records.ledger import Entry, EntryKind, from_payload
from refit.records.references import Champion, SnapshotRef
from refit_tasks.presentation.measurements import describe_performance, describe_probe, summarize_drift


def describe_entry(entry: Entry) -> list[str]:
    """Tells what an entry records.

    Args:
        entry: An entry of the ledger.

    Returns:
        Sentences: what happened, and why.
    """
    told = _DESCRIBERS[entry.kind]
    return [f"Entry {entry.id}, {entry.at:%Y-%m-%d %H:%M:%S} UTC, {entry.project}: {entry.kind}.", *told(entry.payload)]


def _verdict(payload: dict[str, Any]) -> list[str]:
    judgement = from_payload(Judgement, payload)
    against = f"champion version {judgement.over.version}" if judgement.over else "a trivial baseline, no champion yet"
    return [
        f"Version {payload['version']} was trained on {_describe_rows(judgement.model.trained_on)}; "
        f"the run was started as: {judgement.reason}.",
        f"It was judged against {against}, on {_describe_rows(judgement.comparison.holdout)}, which no model had seen.",
        *(f"{'Passed' if r.passed else 'Failed'}, {r.check}: {r.sentence}." for r in judgement.verdict.reasons),
        *_second_fit(judgement),
        "So it may serve." if judgement.verdict.promote else "So it was rejected, and nothing was promoted.",
    ]


def _second_fit(judgement: Judgement) -> list[str]:
    if judgement.bound is None:
        return []
    ground = f"After the verdict: {judgement.bound.sentence}."
    if judgement.served is None:
        return [ground, "So the judged model is the one to serve."]
    return [ground, f"So the one to serve was fitted on {_describe_rows(judgement.served.trained_on)}."]


def _promotion(payload: dict[str, Any]) -> list[str]:
    champion = from_payload(Champion, payload["champion"])
    former = f"version {payload['former']['version']}" if payload["former"] else "nothing"
    if payload.get("by") == "alias":
        former += ", since a person had moved MLflow's alias to it"
    return [
        f"Version {champion.version} became champion, generation {champion.generation}, in place of {former}.",
        f"It was trained on {_describe_rows(champion.model.trained_on)}.",
        f"The verdict that allowed it: refit why {payload['verdict_id']}.",
    ]


def _rollback(payload: dict[str, Any]) -> list[str]:
    champion = from_payload(Champion, payload["champion"])
    decided = [f"The decision behind it: refit why {payload['decision']}."] if payload["decision"] else []
    return [
        f"Version {champion.version} serves again, generation {champion.generation}, in place of version "
        f"{payload['former']['version']}.",
        f"It was rolled back by {payload['by']}: {payload['reason']}.",
        *decided,
    ]


def _approval(payload: dict[str, Any]) -> list[str]:
    said, why = "approved" if payload["approved"] else "refused", f": {payload['why']}" if payload["why"] else ""
    return [
        f"Version {payload['version']} was {said} by {payload['who']}{why}.",
        *_describe_late_approval(payload),
        f"The verdict it is about: refit why {payload['verdict_id']}.",
    ]


def _describe_late_approval(payload: dict[str, Any]) -> list[str]:
    compared, serving = payload.get("compared"), payload.get("serving")
    if compared == serving or not payload["approved"]:
        return []
    return [f"That was too late: it was compared with generation {compared}, and generation {serving} served by then."]


def _alias(payload: dict[str, Any]) -> list[str]:
    found = f"version {payload['found']}" if payload["found"] else "nothing"
    return [
        f"Somebody had moved MLflow's alias champion from version {payload['expected']} to {found}.",
        "It was put back." if payload["action"] == "restored" else "That version was made champion, by policy.",
    ]


def _archive(payload: dict[str, Any]) -> list[str]:
    return [f"The entries up to {payload['until']} were moved to {payload['file']}."]


def _erasure(payload: dict[str, Any]) -> list[str]:
    tables = ", ".join(f"{rows:,} of {name}" for name, rows in payload["tables"].items())
    why = f": {payload['why']}" if payload["why"] else ""
    touched = ", ".join(map(str, payload["versions"]))
    return [
        f"The rows of one key were erased from {payload['files']} files by {payload['who']}{why}.",
        f"Rows that went from the newest versions of tables: {tables}.",
        f"The key's salted hash is {payload['key']}.",
        *([f"Versions {touched} were trained or judged on such rows: refit reproduce says so."] if touched else []),
        *(f"{column} had {count} values that no other row has." for column, count in payload["unique"].items()),
    ]


def _notice(payload: dict[str, Any]) -> list[str]:
    about = f" It is about: refit why {payload['about']}." if payload["about"] else ""
    return [f"{' and '.join(payload['blocks'])} told people of the {payload['occasion']}: {payload['subject']}.{about}"]


def _decision(payload: dict[str, Any]) -> list[str]:
    decided = from_payload(DecisionRecord, payload)
    found, decision = decided.evidence, decided.decision
    return [
        f"It looked from {found.as_of:%Y-%m-%d %H:%M} UTC at {found.rows:,} rows from "
        f"{found.window.start:%Y-%m-%d %H:%M} until {found.window.end:%Y-%m-%d %H:%M}, "
        f"with {_describe_champion(found.generation)}.",
        *([summarize_drift(found.drift)] if found.drift else []),
        *describe_performance(found.performance),
        *describe_probe(found.probe),
        *(f"Left out: {sentence}." for sentence in found.withheld),
        *(f"{finding.check.replace('_', ' ').capitalize()}: {finding.sentence}." for finding in decision.fired),
        *([] if decision.fired else ["No trigger fired."]),
        f"So it was decided to {decision.action}" + (f", by {decision.trigger}." if decision.trigger else "."),
    ]


def _describe_champion(generation: int) -> str:
    return f"the champion of generation {generation} serving" if generation else "no champion yet"


def _retrain(payload: dict[str, Any]) -> list[str]:
    ended = from_payload(RetrainRecord, payload)
    verdict = f" The verdict: refit why {ended.verdict}." if ended.verdict else ""
    error = f" {ended.error[:1].upper()}{ended.error[1:]}." if ended.error else ""
    return [
        f"The retrain that was decided on ended {ended.ending}, after {ended.minutes:.1f} minutes.{error}{verdict}",
        f"Why it was started: refit why {ended.decision}.",
    ]


def _contract(payload: dict[str, Any]) -> list[str]:
    rules = payload["rules"]
    return [
        f"A data contract of {len(rules)} rules was derived from the reference data.",
        *(f"{rule['severity']}: {rule['type']} {rule['kwargs']}" for rule in rules),
    ]


_DESCRIBERS: dict[EntryKind, Callable[[dict[str, Any]], list[str]]] = {
    "verdict": _verdict,
    "promotion": _promotion,
    "contract": _contract,
    "decision": _decision,
    "retrain": _retrain,
    "rollback": _rollback,
    "approval": _approval,
    "alias": _alias,
    "archive": _archive,
    "notice": _notice,
    "erasure": _erasure,
}


def _describe_rows(ref: SnapshotRef) -> str:
    start, end = ref.window.start, ref.window.end
    return f"{ref.rows:,} rows from {start:%Y-%m-%d %H:%M} until {end:%Y-%m-%d %H:%M} (table version {ref.version})"
