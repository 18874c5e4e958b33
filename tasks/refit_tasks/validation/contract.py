"""The data contract of a project: finding or deriving it, and judging rows and batches by it."""

from __future__ import annotations

import logging
import shlex
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from datetime import datetime

import numpy as np
import pandas as pd
import pyarrow as pa

from refit.data.acceptance import RejectedValues, widen_contract, write_commands
from refit.data.column_types import fit_rules
from refit.data.contract import BatchCounts, Contract, Fault, RowFindings, Rule, find_batch_problems
from refit.data.derived_contract import derive_contract
from refit.errors import BrokenProject, ContractViolation
from refit.project import Project
from refit.records.references import Champion
from refit.windows import format_time
from refit_tasks.ledger.record import entry_once, latest, record
from refit_tasks.project_log import with_project
from refit_tasks.validation.acceptance import read_acceptances
from refit_tasks.validation.great_expectations import RuleOutcome, is_row_rule, needed_columns, read_rules, validate

Pieces = Callable[[], Iterator[pa.Table]]
"""Returns an iterator over the pieces of a batch; may be called repeatedly."""

log = logging.getLogger(__name__)


def find_contract(definition: Project, schema: pa.Schema, pieces: Pieces) -> Contract:
    """Finds the contract for a batch.

    Args:
        definition: The project.
        schema: The table's schema.
        pieces: The batch, cast to the schema; the contract is derived from it if there is none yet.

    Returns:
        The project's own contract, else the newest one in the ledger, widened by what people accepted, else one
        derived from the batch, which the caller records with `record_contract`.

    Raises:
        BrokenProject: If the project's expectations fail or name columns that the table does not have.
    """
    if definition.expectations is not None:
        contract = Contract(read_rules(definition, definition.expectations, schema), origin="project")
    else:
        recorded = read_contract(definition.name)
        contract = fit_rules(recorded, schema) if recorded else derive_contract(definition, pieces())
    return replace(contract, pii=definition.pii)


def read_contract(project: str) -> Contract | None:
    """Reads the derived contract in force.

    Args:
        project: The project's name.

    Returns:
        The newest contract in the ledger, widened by what people accepted; `None` if there is none yet.
    """
    entry = latest(project, "contract")
    return widen_contract(Contract.from_json(entry.payload), read_acceptances(project)) if entry else None


def record_contract(definition: Project, contract: Contract, at: datetime, once: str | None = None) -> None:
    """Records a derived contract in the ledger, where later batches find it.

    Args:
        definition: The project.
        contract: The contract from `find_contract`; it is recorded only if it was derived.
        at: The time of the entry, UTC.
        once: The name under which it is recorded once.
    """
    if contract.origin == "derived":
        record(definition.name, "contract", contract.to_json(), at, once)
        with_project(log, definition.name).info("a contract of %d rules was derived and recorded", len(contract.rules))


def renew_contract(definition: Project, champion: Champion, at: datetime) -> None:
    """Derives the contract again from a champion's training rows, so that ranges and categories stay current.

    This happens once per champion; if a run is killed after its promotion, the next run does it.

    Args:
        definition: The project; its own expectations, if any, are kept.
        champion: The champion.
        at: The time of the entry, UTC.
    """
    from refit_tasks.storage.snapshot_rows import scan_rows

    once = f"generation {champion.generation}"
    if definition.expectations is None and entry_once(definition.name, "contract", once) is None:
        pieces = (pa.Table.from_batches([batch]) for batch in scan_rows(definition, champion.model.trained_on))
        record_contract(definition, derive_contract(definition, pieces), at, once)


def judge_rows(contract: Contract, piece: pa.Table) -> RowFindings:
    """Judges the rows of one piece by the rules about single rows.

    The rows that break a critical rule with `mostly` are faults only if more rows of the piece break it than allowed.

    Args:
        contract: The contract.
        piece: The rows, cast to the table's schema.

    Returns:
        The faults under critical rules, and the number of rows that break each other rule.

    Raises:
        BrokenProject: If an expectation cannot be evaluated on these columns.
    """
    rules = [rule for rule in contract.rules if is_row_rule(rule) and not _is_trivially_kept(rule, piece)]
    if not rules or not piece.num_rows:
        return RowFindings([])
    frame = piece.select(needed_columns(rules, piece.column_names)).to_pandas()
    broken = [outcome for outcome in validate(rules, frame, listing=True) if not outcome.success]
    for outcome in broken:
        if outcome.error:
            reason = contract.mask_observed(outcome.rule, outcome.observed)
            raise BrokenProject(f"the expectation {outcome.rule} cannot be evaluated ({reason}): correct it")
    critical = [outcome for outcome in broken if outcome.rule.severity == "critical"]
    warned = Counter({str(outcome.rule): len(outcome.rows) for outcome in broken if outcome not in critical})
    return RowFindings([fault for outcome in critical for fault in _faults(outcome, frame)], warned)


def judge_batch(
    definition: Project,
    contract: Contract,
    pieces: Pieces,
    batch: BatchCounts,
    rejected: RejectedValues | None = None,
) -> tuple[str, ...]:
    """Judges the accepted rows of a batch by the rules about the whole batch.

    Args:
        definition: The project, for its contract policy.
        contract: The contract.
        pieces: The accepted rows; memory holds only the columns that these rules name.
        batch: The counts of rows and of faults.
        rejected: The values that were rejected, for the commands that accept them.

    Returns:
        One sentence for each broken rule that is not critical, those about rows included.

    Raises:
        ContractViolation: If a critical rule about the batch is broken; the message has each rule, value and limit.
    """
    rules = [rule for rule in contract.rules if not is_row_rule(rule)]
    broken = [outcome for outcome in _judge_batch_rules(rules, pieces) if not outcome.success]
    problems = [(one.rule, f"{one.rule}: {contract.mask_observed(one.rule, one.observed)}") for one in broken]
    critical = [sentence for rule, sentence in problems if rule.severity == "critical"]
    unfit = _find_empty_columns(batch, pieces)
    critical = [*find_batch_problems(batch, definition.contract, unfit), *critical]
    if critical:
        retyped = _find_retyped(definition, batch, unfit)
        change = _suggest_change(definition, contract, rejected or RejectedValues(), retyped)
        raise ContractViolation(
            f"the rows of {definition.name!r} until {format_time(batch.until)} break the data contract: "
            f"{'; '.join(critical)}: correct the source or the load, or {change}"
        )
    others = [sentence for rule, sentence in problems if rule.severity != "critical"]
    return (*(f"{rule}: {count:,} rows" for rule, count in batch.warned.items()), *others)


def _find_retyped(definition: Project, batch: BatchCounts, unfit: Collection[str]) -> list[str]:
    """Finds the columns to which too many texts came that are no values of their type."""
    fixed = {definition.timestamp} | ({definition.target} if definition.kind == "regression" else set())
    many = definition.contract.quarantine_limit * batch.rows_in
    found = {column for (rule, column), count in batch.faults.items() if rule == "type" and count > many}
    return sorted((found | set(unfit)) - fixed)


def _suggest_change(definition: Project, contract: Contract, rejected: RejectedValues, retyped: Collection[str]) -> str:
    """Names the commands that take such rows in; values that do not fit a column's type came as text."""
    retyped = [shlex.join(["refit", "schema", definition.name, "set", column, "text"]) for column in retyped]
    accepted = [] if contract.origin == "project" else list(write_commands(definition.name, contract, rejected))
    if wanted := " and ".join(f"`{command}`" for command in (*retyped, *accepted)):
        return f"{'change the type' if retyped else 'accept the new values'} with {wanted}"
    return "change the contract in the project file"


def _is_trivially_kept(rule: Rule, piece: pa.Table) -> bool:
    """Tells whether a rule forbids nulls in columns whose null count, which Arrow keeps, is zero."""
    return rule.type == "expect_column_values_to_not_be_null" and not any(piece[c].null_count for c in rule.columns)


def _faults(outcome: RuleOutcome, frame: pd.DataFrame) -> Iterator[Fault]:
    columns = list(outcome.rule.columns)
    for row, values in zip(outcome.rows, frame.loc[list(outcome.rows), columns].itertuples(index=False), strict=True):
        shown = ["missing" if pd.isna(value) else str(value) for value in values]
        yield Fault(row, outcome.rule.type, ",".join(columns), ", ".join(shown)[:200])


def _judge_batch_rules(rules: Sequence[Rule], pieces: Pieces) -> list[RuleOutcome]:
    parts = (
        [_blank_other_columns(piece, needed_columns(rules, piece.column_names)) for piece in pieces()] if rules else []
    )
    return validate(rules, pa.concat_tables(parts).to_pandas(), listing=False) if parts else []


def _blank_other_columns(piece: pa.Table, needed: Collection[str]) -> pa.Table:
    """Blanks the columns that no rule reads, keeping their names and the number of rows."""
    nothing = pa.array(np.zeros(piece.num_rows, dtype=bool))
    return pa.table({name: piece[name] if name in needed else nothing for name in piece.column_names})


def _find_empty_columns(batch: BatchCounts, pieces: Pieces) -> set[str]:
    """Finds the columns that had cells of a wrong type and hold no value in any accepted row."""
    suspects = {column for rule, column in batch.faults if rule == "type"}
    for piece in pieces() if suspects else ():
        suspects -= {column for column in suspects if piece[column].null_count < piece.num_rows}
    return suspects
