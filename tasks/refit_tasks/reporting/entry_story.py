"""Sentences that describe a ledger entry, for `refit why`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from refit.gate.evaluations import Judgement
from refit.monitoring.decide import DecisionRecord, RetrainRecord
from refit.records.ledger import Entry, EntryKind, from_payload
from refit.records.references import Champion, SnapshotRef
from refit.windows import format_time, format_window
from refit_tasks.presentation.measurements import describe_performance, describe_probe, summarize_drift
from refit_tasks.validation.acceptance import AcceptanceRecord


def describe_entry(entry: Entry) -> list[str]:
    """Describes what a ledger entry records.

    Args:
        entry: The entry.

    Returns:
        Sentences: the event and its reasons.
    """
    describe = _DESCRIBERS[entry.kind]
    return [
        f"Entry {entry.id}, {entry.at:%Y-%m-%d %H:%M:%S} UTC, {entry.project}: {entry.kind}.",
        *describe(entry.payload),
    ]


def _verdict(payload: dict[str, Any]) -> list[str]:
    judgement = from_payload(Judgement, payload)
    against = "a trivial baseline, since there was no champion"
    if judgement.over:
        name = f"champion version {judgement.over.version}"
        against = name if judgement.comparison.champion else f"a trivial baseline, since the files of {name} were lost"
    return [
        f"Version {payload['version']} was trained on {_describe_rows(judgement.model.trained_on)}; "
        f"reason for the run: {judgement.reason}.",
        f"It was judged against {against}, on {_describe_rows(judgement.comparison.holdout)}, "
        f"on which no model was trained.",
        *(f"{'Passed' if r.passed else 'Failed'}, {r.check}: {r.sentence}." for r in judgement.verdict.reasons),
        *_second_fit(judgement),
        "Verdict: promote." if judgement.verdict.promote else "Verdict: reject; nothing was promoted.",
    ]


def _second_fit(judgement: Judgement) -> list[str]:
    if judgement.bound is None:
        return []
    ground = f"After the verdict: {judgement.bound.sentence}."
    if judgement.served is None:
        return [ground, "The judged model is the one to serve."]
    return [ground, f"The model to serve was fitted on {_describe_rows(judgement.served.trained_on)}."]


def _promotion(payload: dict[str, Any]) -> list[str]:
    champion = from_payload(Champion, payload["champion"])
    former = f"replacing version {payload['former']['version']}" if payload["former"] else "as the first champion"
    if payload.get("by") == "alias":
        former += ", because a person moved MLflow's alias to it"
    if payload.get("by") == "doctor":
        former += ", which is the same model and was removed in MLflow"
    return [
        f"Version {champion.version} became champion, generation {champion.generation}, {former}.",
        f"It was trained on {_describe_rows(champion.model.trained_on)}.",
        f"Its verdict: refit why {payload['verdict_id']}.",
    ]


def _rollback(payload: dict[str, Any]) -> list[str]:
    champion = from_payload(Champion, payload["champion"])
    decided = [f"The decision: refit why {payload['decision']}."] if payload["decision"] else []
    return [
        f"Version {champion.version} serves again, generation {champion.generation}, replacing version "
        f"{payload['former']['version']}.",
        f"Rolled back by {payload['by']}: {payload['reason']}.",
        *decided,
    ]


def _approval(payload: dict[str, Any]) -> list[str]:
    answer, why = "approved" if payload["approved"] else "refused", f": {payload['why']}" if payload["why"] else ""
    return [
        f"Version {payload['version']} was {answer} by {payload['who']}{why}.",
        *([f"What vouches for the name: {payload['vouched']}."] if payload.get("vouched") else []),
        *_describe_late_approval(payload),
        f"Its verdict: refit why {payload['verdict_id']}.",
    ]


def _describe_late_approval(payload: dict[str, Any]) -> list[str]:
    compared, serving = payload.get("compared"), payload.get("serving")
    if compared == serving or not payload["approved"]:
        return []
    return [
        f"The approval came too late: the version was compared with generation {compared}, but generation {serving} "
        f"served."
    ]


def _alias(payload: dict[str, Any]) -> list[str]:
    found = f"version {payload['found']}" if payload["found"] else "nothing"
    return [
        f"A person moved MLflow's alias 'champion' from version {payload['expected']} to {found}.",
        "The alias was restored." if payload["action"] == "restored" else "The policy made that version champion.",
    ]


def _archive(payload: dict[str, Any]) -> list[str]:
    return [f"The entries up to {payload['until']} were moved to {payload['file']}."]


def _erasure(payload: dict[str, Any]) -> list[str]:
    tables = ", ".join(f"{rows:,} of {name}" for name, rows in payload["tables"].items())
    why = f": {payload['why']}" if payload["why"] else ""
    touched = ", ".join(map(str, payload["versions"]))
    return [
        f"The rows of one key were erased from {payload['files']} files by {payload['who']}{why}.",
        f"Rows erased from the newest table versions: {tables}.",
        f"The key's salted hash is {payload['key']}.",
        *(
            [f"Versions {touched} were trained or judged on erased rows; refit reproduce reports it."]
            if touched
            else []
        ),
        *(f"{column}: {count} values occur in no other row." for column, count in payload["unique"].items()),
    ]


def _notice(payload: dict[str, Any]) -> list[str]:
    about = f" Its subject: refit why {payload['about']}." if payload["about"] else ""
    blocks = " and ".join(payload["blocks"])
    return [f"A notification of the {payload['occasion']} was sent to {blocks}: {payload['subject']}.{about}"]


def _decision(payload: dict[str, Any]) -> list[str]:
    decided = from_payload(DecisionRecord, payload)
    found, decision = decided.evidence, decided.decision
    return [
        f"As of {format_time(found.as_of)} UTC: {found.rows:,} rows, {format_window(found.window)}, "
        f"{_describe_champion(found.generation)}.",
        *([summarize_drift(found.drift)] if found.drift else []),
        *describe_performance(found.performance),
        *describe_probe(found.probe),
        *(f"Not measured: {sentence}." for sentence in found.withheld),
        *(f"{finding.check.replace('_', ' ').capitalize()}: {finding.sentence}." for finding in decision.fired),
        *([] if decision.fired else ["No trigger fired."]),
        f"Decision: {decision.action}" + (f", trigger {decision.trigger}." if decision.trigger else "."),
    ]


def _describe_champion(generation: int) -> str:
    return f"champion of generation {generation}" if generation else "no champion"


def _retrain(payload: dict[str, Any]) -> list[str]:
    ended = from_payload(RetrainRecord, payload)
    verdict = f" The verdict: refit why {ended.verdict}." if ended.verdict else ""
    error = f" {ended.error[:1].upper()}{ended.error[1:]}." if ended.error else ""
    return [
        f"The retrain ended after {ended.minutes:.1f} minutes: {ended.ending}.{error}{verdict}",
        f"Its decision: refit why {ended.decision}.",
    ]


def _contract(payload: dict[str, Any]) -> list[str]:
    rules = payload["rules"]
    return [
        f"A data contract of {len(rules)} rules was derived from the reference data.",
        *(f"{rule['severity']}: {rule['type']} {rule['kwargs']}" for rule in rules),
    ]


def _acceptance(payload: dict[str, Any]) -> list[str]:
    made = from_payload(AcceptanceRecord, payload)
    values = ", ".join(map(str, made.added.values))
    ends = {"from": made.added.low, "up to": made.added.high}
    bounds = [f"{word} {end:g}" for word, end in ends.items() if end is not None]
    why = f": {made.why}" if made.why else ""
    return [
        f"Accepted for column {made.column} by {made.who}{why}.",
        *([f"New values: {values}."] if values else []),
        *([f"New range: {' '.join(bounds)}."] if bounds else []),
        f"All columns with accepted values: {', '.join(made.accepted)}.",
    ]


def _schema(payload: dict[str, Any]) -> list[str]:
    from refit_tasks.ingestion.column_types import TypeChange  # pandas comes with it: no other entry needs that

    made = from_payload(TypeChange, payload)
    why = f": {made.why}" if made.why else ""
    return [
        f"Column {made.column} was a {made.former} and is a {made.type} from table version {made.version} on.",
        f"Changed by {made.who}{why}.",
    ]


_DESCRIBERS: dict[EntryKind, Callable[[dict[str, Any]], list[str]]] = {
    "verdict": _verdict,
    "promotion": _promotion,
    "contract": _contract,
    "acceptance": _acceptance,
    "schema": _schema,
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
    return f"{ref.rows:,} rows, {format_window(ref.window)} (table version {ref.version})"
