"""`refit forget`: the erasure of rows by key, and what it means for stored models."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime

from refit.project import Project
from refit.results.erasures import Erasure, parse_keys
from refit_deployments.output import Result
from refit_tasks.catalog import find_project
from refit_tasks.maintenance.erase import erase_keys, find_erasure
from refit_tasks.maintenance.remaining_places import find_remaining
from refit_tasks.runs.identity import current_user


def erase_rows(project: str, keys: list[str], why: str, *, dry_run: bool) -> Result:
    """Erases rows by their key.

    Args:
        project: The project's name.
        keys: Values of the key, or `COLUMN=VALUE`.
        why: The reason, for the ledger.
        dry_run: Whether to change nothing.

    Returns:
        The erased rows by table and the versions trained on them; no key.
    """
    definition = find_project(project)
    wanted = parse_keys(definition, keys)
    if dry_run:
        erasure, entry = find_erasure(definition, wanted), None
    else:
        erasure, entry = erase_keys(definition, wanted, current_user(), why, datetime.now(UTC))
    remaining = find_remaining(project, erasure) if erasure.files else []
    facts = {
        "project": project,
        "key_hash": erasure.key,
        "tables": erasure.tables,
        "files": erasure.files,
        "versions": list(erasure.versions),
        "unique_values": erasure.unique,
        "unmatched_files": erasure.unmatched,
        "remaining": [asdict(one) for one in remaining],
        "entry": entry,
        "dry_run": dry_run,
    }
    lines = _describe(definition, erasure, entry, dry_run=dry_run)
    return Result(facts, [*lines, *(f"  {one.holds}" for one in remaining)])


def read_keys(keys: list[str]) -> list[str]:
    """Reads the keys for which `-` stands from standard input.

    Args:
        keys: The keys of the command line.

    Returns:
        All keys.
    """
    lines = sys.stdin.read().splitlines() if "-" in keys else []
    return [*(key for key in keys if key != "-"), *(line for line in lines if line)]


def _describe(definition: Project, erasure: Erasure, entry: int | None, *, dry_run: bool) -> list[str]:
    if not erasure.files:
        return [f"{definition.name}: no table has rows with this key, in any version", *_describe_unmatched(erasure)]
    done = "would be erased" if dry_run else "erased"
    return [
        f"{definition.name}: {erasure.rows:,} rows {done}, in {erasure.files} files of {len(erasure.tables)} tables",
        *(f"  {table:<32} {rows:,} rows of the current version" for table, rows in erasure.tables.items()),
        *_describe_models(erasure),
        *_describe_unmatched(erasure),
        *([f"  recorded: refit why {entry}"] if entry else []),
        f"  erase the rows at their source, too: each ingest loads the last {definition.lookback} again",
    ]


def _describe_models(erasure: Erasure) -> Iterator[str]:
    if erasure.versions:
        versions = ", ".join(map(str, erasure.versions))
        yield f"  versions {versions} were trained or judged on these rows and can no longer be reproduced exactly"
    for column, count in erasure.unique.items():
        yield (
            f"  {count} values of the feature {column} occur in no other row: a model that stores category names keeps "
            f"them until it is retrained and pruned"
        )


def _describe_unmatched(erasure: Erasure) -> Iterator[str]:
    for table, count in erasure.unmatched.items():
        yield (
            f"  {count} files of {table}, of this or a former version, lack a column of the key: their rows match no "
            f"key and stay"
        )
