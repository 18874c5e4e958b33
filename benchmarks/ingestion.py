"""Ingesting and validating 2 million rows by 20 columns, beside a plain pandas read with Great Expectations.

The peer reads the same Parquet file into one frame and judges the same rules on it; it stores nothing, finds no
repeated keys and keeps no rejected rows. Each runs in a fresh process, so that the peaks of memory are its own.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

ROWS = 2_000_000
REPEATS = 3
UNTIL = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=ROWS)


def main() -> None:
    """Prints seconds, peak memory and their ratios."""
    with tempfile.TemporaryDirectory() as directory:
        from benchmarks.rows import write

        file = Path(directory) / "rows.parquet"
        write(file, ROWS)
        rules = Path(directory) / "rules.json"
        rules.write_text(json.dumps(_derived(file)))
        turns = [(_run("refit", file, rules, turn), _run("peer", file, rules, turn)) for turn in range(REPEATS)]
    ours, peers = zip(*turns, strict=True)
    for what, unit in (("seconds", "s"), ("megabytes", "MB")):
        mine, other = (sorted(turn[what] for turn in side)[REPEATS // 2] for side in (ours, peers))
        print(
            f"{what}: ingest {mine:,.1f} {unit}, pandas read + Great Expectations {other:,.1f} {unit}, "
            f"ratio {mine / other:.2f} (medians of {REPEATS}, {ROWS:,} rows x 20 columns)"
        )


def _run(who: str, file: Path, rules: Path, turn: int) -> dict[str, float]:
    home = file.parent / f"home-{turn}"
    command = [sys.executable, "-m", "benchmarks.ingestion", who, str(file), str(rules)]
    done = subprocess.run(command, env={**os.environ, "REFIT_HOME": str(home)}, capture_output=True, check=True)
    measured: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return measured


def _derived(file: Path) -> list[dict[str, object]]:
    """The rules that Refit derives from these rows, for both sides."""
    import pyarrow.parquet as pq

    from refit.data.derived_contract import derive_contract

    pieces = (_in_microseconds(file, group) for group in range(pq.ParquetFile(file).num_row_groups))
    return [{"type": rule.type, **rule.kwargs} for rule in derive_contract(_definition(file), pieces).rules]


def _in_microseconds(file: Path, group: int):  # noqa: ANN202 - pyarrow has no types
    import pyarrow as pa
    import pyarrow.parquet as pq

    piece = pq.ParquetFile(file).read_row_group(group)
    place = piece.column_names.index("seen_at")
    return piece.set_column(place, "seen_at", piece["seen_at"].cast(pa.timestamp("us", "UTC")))


def _definition(file: Path):  # noqa: ANN202 - the type is refit's, imported late
    from sklearn.dummy import DummyClassifier

    from refit import Project
    from refit.sources import parquet

    return Project(
        name="rows",
        kind="classification",
        target="label",
        timestamp="seen_at",
        key=("row",),
        load=parquet(str(file), timestamp="seen_at"),
        build=DummyClassifier,
    )


def _refit(file: Path, _rules: Path) -> None:
    from refit_tasks.ingestion.ingest import ingest

    ingested = ingest.fn(_definition(file), UNTIL)
    if (ingested.added, ingested.quarantined) != (ROWS, 0):
        raise SystemExit(f"the benchmark's rows should all be new and good: {ingested}")


def _peer(file: Path, rules: Path) -> None:
    import great_expectations as gx
    import pandas as pd
    from great_expectations.expectations.registry import get_expectation_impl

    frame = pd.read_parquet(file)
    context = gx.get_context(mode="ephemeral")
    asset = context.data_sources.add_pandas("pandas").add_dataframe_asset("rows")
    batch = asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": frame})
    expectations = [get_expectation_impl(rule.pop("type"))(**rule) for rule in json.loads(rules.read_text())]
    result = batch.validate(gx.ExpectationSuite("rules", expectations=expectations), result_format="COMPLETE")
    if not result.success:
        raise SystemExit("the benchmark's rows should all keep the rules")


if __name__ == "__main__":
    if len(sys.argv) == 1:
        main()
    else:
        os.environ["GX_ANALYTICS_ENABLED"] = "false"
        begin = time.perf_counter()
        {"refit": _refit, "peer": _peer}[sys.argv[1]](Path(sys.argv[2]), Path(sys.argv[3]))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({"seconds": time.perf_counter() - begin, "megabytes": peak}))
