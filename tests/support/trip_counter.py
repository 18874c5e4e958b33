"""Counts the trips of a flow to its stores: ledger queries, calls of MLflow's model registry, opened Delta tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any

import pytest
from deltalake import DeltaTable
from mlflow import MlflowClient
from sqlalchemy import event
from sqlalchemy.engine import Engine

LEDGER = "ledger.db"
QUERIES = ("SELECT", "INSERT", "UPDATE", "DELETE")
OF_REGISTRY = ("registered_model", "model_version")


_inside = ContextVar("inside", default=False)


@contextmanager
def count_trips() -> Iterator[Counter[str]]:
    """Counts what this process does while the block lasts.

    Yields:
        The counts: `queries` and `transactions` of the ledger, calls of MLflow's `registry` and of its
        `tracking`, and table `opens`.
    """
    trips: Counter[str] = Counter()

    def count_statement(connection: Any, _cursor: object, statement: str, *_rest: object) -> None:
        if (connection.engine.url.database or "").endswith(LEDGER):
            trips["queries"] += statement.startswith(QUERIES)
            trips["transactions"] += statement.startswith("BEGIN")

    event.listen(Engine, "before_cursor_execute", count_statement)
    try:
        with pytest.MonkeyPatch.context() as patch:
            for name in ("__init__", "is_deltatable"):
                patch.setattr(DeltaTable, name, _counted(getattr(DeltaTable, name), trips, "opens"))
            for name in [name for name in dir(MlflowClient) if not name.startswith("_")]:
                kind = "registry" if any(part in name for part in OF_REGISTRY) else "tracking"
                patch.setattr(MlflowClient, name, _counted(getattr(MlflowClient, name), trips, kind))
            yield trips
    finally:
        event.remove(Engine, "before_cursor_execute", count_statement)


def _counted(function: Callable[..., Any], trips: Counter[str], kind: str) -> Callable[..., Any]:
    """Counts the calls of a function, but not those that another counted one makes on its way."""

    @wraps(function)
    def counted(*arguments: Any, **options: Any) -> Any:
        if _inside.get():
            return function(*arguments, **options)
        trips[kind] += 1
        token = _inside.set(True)
        try:
            return function(*arguments, **options)
        finally:
            _inside.reset(token)

    return counted
