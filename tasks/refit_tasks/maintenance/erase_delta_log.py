"""Rewrite of a Delta table's log, so that all versions remain and name replacement files for erased rows.

Delta's log is a file for each commit, and now and then one with all that holds by then. Each of them names files of
data, with the smallest and the largest values of their columns, and so holds cells of rows itself. Here the files that
the log names are exchanged for others: first every line that takes such a file away takes the other away, too, then
every line that adds one adds the other. Whoever is killed in between leaves a table of which each version holds each
row once, as before or as after.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias
from urllib.parse import quote, unquote

import pyarrow as pa
import pyarrow.parquet as pq

from refit_tasks.storage.table_files import LOG, TableFiles

Action: TypeAlias = dict[str, Any]
"""One line of the log: a key such as `add`, and what is said of it."""


@dataclass(frozen=True, slots=True)
class Replacement:
    """The file that takes another one's place."""

    path: str
    size: int
    """In bytes."""
    rows: int


def rewrite_log(files: TableFiles, others: Mapping[str, Replacement | None]) -> None:
    """Lets a table's whole log name other files in the place of some. Done twice, it changes nothing.

    Args:
        files: The table's.
        others: From the path of a file that no longer may be named as part of the table to what takes its place, by now
            written; `None` where nothing does.
    """
    for step in (_replace_remove, _replace_add):
        for path in _list_log_files(files):
            _rewrite(files, path, others, step)


def scrub_statistics(files: TableFiles) -> None:
    """Takes out what the log knows of files that are gone: their values, whoever they were of.

    That such a file was taken away goes, too, if nothing adds it any more: a vacuum would name it for ever.

    Args:
        files: The table's.
    """
    there = {one.path for one in files.list_files()}
    log = {path: _actions(files, path) for path in _list_log_files(files)}
    known = there | {_path(action) for actions, _ in log.values() for action in actions if action.get("add")}
    for path, (actions, schema) in log.items():
        kept = [one for one in actions if not one.get("remove") or _path(one) in known]
        kept = [one if _path(one) in there or not one.get("add") else _keep_row_count(one) for one in kept]
        if kept != actions:
            files.write(path, _serialize(kept, schema))


def list_named_files(files: TableFiles) -> set[str]:
    """Names the files of data that some line of the log names.

    Args:
        files: The table's.

    Returns:
        Their paths.
    """
    found = set[str]()
    for path in _list_log_files(files):
        for action in _actions(files, path)[0]:
            found |= {unquote(said["path"]) for said in (action.get("add"), action.get("remove")) if said}
    return found


Step: TypeAlias = Callable[[Action, Mapping[str, Replacement | None], set[str]], list[Action]]


def _rewrite(files: TableFiles, path: str, others: Mapping[str, Replacement | None], step: Step) -> None:
    actions, schema = _actions(files, path)
    touched = {_path(action) for action in actions} & set(others)
    if not touched:
        return
    gone = {_path(action) for action in actions if action.get("remove")}
    changed = [new for action in actions for new in step(_drop_values(action), others, gone)]
    if changed != actions:
        files.write(path, _serialize(changed, schema))


def _replace_remove(action: Action, others: Mapping[str, Replacement | None], gone: set[str]) -> list[Action]:
    other = others.get(_path(action)) if action.get("remove") else None
    if other is None or other.path in gone:
        return [action]
    remove = {**action["remove"], "path": quote(other.path, safe="/="), "size": other.size}
    return [action, {**action, "remove": remove}]


def _replace_add(action: Action, others: Mapping[str, Replacement | None], _gone: set[str]) -> list[Action]:
    if not action.get("add") or _path(action) not in others:
        return [action]
    other = others[_path(action)]
    if other is None:
        return []
    moved = {**action["add"], "path": quote(other.path, safe="/="), "size": other.size}
    return [_keep_row_count({**action, "add": {**moved, "stats": json.dumps({"numRecords": other.rows})}})]


def _keep_row_count(action: Action) -> Action:
    """Leaves out all statistics of a file that was added but for its number of rows."""
    rows = json.loads(action["add"].get("stats") or "{}").get("numRecords")
    parsed = {key: None for key in action["add"] if key == "stats_parsed"}
    return {**action, "add": {**action["add"], **parsed, "stats": json.dumps({"numRecords": rows})}}


def _drop_values(action: Action) -> Action:
    """Leaves out by which condition rows were written over, and the statistics of a file that was taken away."""
    if action.get("remove") and action["remove"].get("stats"):
        return {**action, "remove": {**action["remove"], "stats": None}}
    if not action.get("commitInfo"):
        return action
    told = action["commitInfo"].get("operationParameters") or {}
    kept = {name: value for name, value in told.items() if name != "predicate"}
    return {**action, "commitInfo": {**action["commitInfo"], "operationParameters": kept}} if kept != told else action


def _list_log_files(files: TableFiles) -> list[str]:
    """Names the files of the log: the commits first, since what none of them adds any more may be swept away."""
    found = [one.path for one in files.list_files() if one.path.startswith(LOG)]
    return sorted(found, key=lambda path: (not path.endswith(".json"), path))


def _path(action: Action) -> str:
    said = action.get("add") or action.get("remove")
    return unquote(said["path"]) if said else ""


def _actions(files: TableFiles, path: str) -> tuple[list[Action], pa.Schema | None]:
    """Reads a file of the log; the schema is that of one which holds all until then."""
    if path.endswith(".json"):
        return [json.loads(line) for line in files.read(path).decode().splitlines() if line], None
    if not path.endswith(".parquet"):
        return [], None
    table = pq.read_table(files.open(path))
    return table.to_pylist(), table.schema


def _serialize(actions: list[Action], schema: pa.Schema | None) -> bytes:
    if schema is None:
        return "".join(json.dumps(action, separators=(",", ":")) + "\n" for action in actions).encode()
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(actions, schema=schema), sink)
    return sink.getvalue()
