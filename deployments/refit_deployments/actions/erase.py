"""`refit forget`: somebody's rows are erased, and what that means is said."""

from __future__ import annotations

import sys
from datetime import UTC, datetime

from refit.project import Project
from refit.results.erasures import Erasure, parse_keys
from refit_deployments.output import Result
from refit_tasks.catalog import find_project
from refit_tasks.maintenance.erase import find_rows, forget_rows
from refit_tasks.runs.audit_log import current_user


def forget_here(project: str, keys: list[str], why: str, *, dry_run: bool) -> Result:
    """Erases rows by their key.

    Args:
        project: The project's name.
        keys: Values of its key, or `COLUMN=VALUE`.
        why: The reason, for the record.
        dry_run: Whether to find only.

    Returns:
        What was erased, by table; which versions were made with it; and no key.
    """
    definition = find_project(project)
    wanted = parse_keys(definition, keys)
    if dry_run:
        erasure, entry = find_rows(definition, wanted), None
    else:
        erasure, entry = forget_rows(definition, wanted, current_user(), why, datetime.now(UTC))
    facts = {
        "project": project,
        "key_hash": erasure.key,
        "tables": erasure.tables,
        "files": erasure.files,
        "versions": list(erasure.versions),
        "unique_values": erasure.unique,
        "entry": entry,
        "dry_run": dry_run,
    }
    return Result(facts, _lines(definition, erasure, entry, dry_run=dry_run))


def given(keys: list[str]) -> list[str]:
    """Reads what is named by `-` from standard input.

    Args:
        keys: As they stand on the command line.

    Returns:
        The keys.
    """
    lines = sys.stdin.read().splitlines() if "-" in keys else []
    return [*(key for key in keys if key != "-"), *(line for line in lines if line)]


def _lines(definition: Project, erasure: Erasure, entry: int | None, *, dry_run: bool) -> list[str]:
    name = definition.name
    if not erasure.files:
        return [f"{name}: no table holds rows of that key, in no version"]
    done = "would be erased" if dry_run else "were erased"
    lines = [
        f"{name}: {erasure.rows:,} rows {done}, in {erasure.files} files of {len(erasure.tables)} tables",
        *(f"  {table:<32} {rows:,} rows of the newest version" for table, rows in erasure.tables.items()),
    ]
    if erasure.versions:
        versions = ", ".join(map(str, erasure.versions))
        lines.append(
            f"  versions {versions} were trained or judged on such rows, and cannot be rebuilt exactly any more"
        )
    for column, count in erasure.unique.items():
        lines.append(
            f"  {count} values of the feature {column} are in no other row: models that know them by name keep them, "
            f"until they are retrained and pruned"
        )
    if entry:
        lines.append(f"  on record as `refit why {entry}`")
    return [
        *lines,
        f"  let the source forget them, too: an ingest looks back {definition.lookback} and loads what it has",
    ]
