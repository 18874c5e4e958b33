"""Measuring drift: 10 million rows beside a scan by DuckDB, 300,000 beside Evidently and scipy.

The peers live in an environment of their own, made by uv for the run. Every turn is a fresh process, so that the peaks
of memory are its own, imports included; CPU seconds are those of all its threads, imports left out. Arrow allocates by
jemalloc in every turn, which keeps less than its default. Evidently's figure is its default preset for drift on frames
in memory; ours reads Parquet as well. Both sides must find the same distances.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROWS = 10_000_000
FEWER = 300_000
REFERENCE = 300_000
REPEATS = 3
PIECE = 250_000
NUMBERS = [f"number_{place:02}" for place in range(15)]
TEXTS = [f"text_{place}" for place in range(5)]
SETTINGS = {
    "OMP_NUM_THREADS": "1",
    "DO_NOT_TRACK": "1",
    "ARROW_DEFAULT_MEMORY_POOL": "jemalloc",
    "PYTHONPATH": str(Path.cwd()),
}
PEERS = ("evidently==0.7.23", "pandas<3", "duckdb", "pyarrow", "scipy")


def main() -> None:
    """Prints CPU seconds, peak memory, their ratios, and how far the distances differ."""
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        peer = _environment(place)
        for name, rows, moved in (("reference", REFERENCE, 0), ("many", ROWS, 1), ("few", FEWER, 1)):
            _write(place / f"{name}.parquet", rows, moved)
        _run(sys.executable, "store", place, "reference")
        ours = [_run(sys.executable, "refit", place, "many") for _ in range(REPEATS)]
        scan = [_run(peer, "scan", place, "many") for _ in range(REPEATS)]
        _compare(f"{ROWS:,} rows x 20 columns", "a DuckDB scan", ours, scan)
        ours = [_run(sys.executable, "refit", place, "few") for _ in range(REPEATS)]
        for who, title in (("evidently", "Evidently's default preset"), ("scipy", "scipy by hand")):
            theirs = [_run(peer, who, place, "few") for _ in range(REPEATS)]
            _compare(f"{FEWER:,} rows x 20 columns", title, ours, theirs)
            _agree(title, ours[0]["found"], theirs[0]["found"])


def _environment(place: Path) -> str:
    """Makes the peers' environment and gives its interpreter."""
    uv = shutil.which("uv") or str(Path(".venv/bootstrap/bin/uv").resolve())
    python = str(place / "peers" / "bin" / "python")
    subprocess.run([uv, "venv", "-q", "--python", sys.executable, str(place / "peers")], check=True)
    subprocess.run([uv, "pip", "install", "-q", "--python", python, *PEERS], check=True)
    return python


def _run(python: str, who: str, place: Path, rows: str) -> dict:
    command = [python, __file__, who, str(place), rows]
    done = subprocess.run(command, env={**os.environ, **SETTINGS}, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{who} failed: {done.stderr[-2_000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def _compare(size: str, title: str, ours: list[dict], theirs: list[dict]) -> None:
    for what, unit in (("cpu", "CPU s"), ("megabytes", "MB")):
        mine, other = (sorted(turn[what] for turn in side)[REPEATS // 2] for side in (ours, theirs))
        print(
            f"{size}: profile and compare {mine:,.2f} {unit}, {title} {other:,.2f} {unit}, "
            f"ratio {mine / other:.2f} (medians of {REPEATS})"
        )


def _agree(title: str, ours: dict, theirs: dict) -> None:
    for measure, found in theirs.items():
        apart = max(abs(ours[measure][name] - value) for name, value in found.items())
        print(f"{measure}: {len(found)} columns differ from {title} by at most {apart:.1e}")


def _write(path: Path, rows: int, moved: int) -> None:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    writer = None
    for first in range(0, rows, PIECE):
        size, rng = min(PIECE, rows - first), np.random.default_rng([rows, moved, first])
        columns = {name: _numbers(rng, at, size, moved) for at, name in enumerate(NUMBERS)}
        weights = np.arange(1, 9) + moved * np.eye(8)[0]
        for name in TEXTS:
            columns[name] = pa.array(rng.choice(list("abcdefgh"), size, p=weights / weights.sum()))
        table = pa.table(columns)
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer:
        writer.close()


def _numbers(rng, place: int, size: int, moved: int):  # noqa: ANN001, ANN202 - numpy is imported late
    if place < 9:
        return rng.normal(place + 0.1 * moved, 1 + place, size)
    if place < 12:
        return rng.lognormal(0.1 * moved, 1, size)
    return rng.poisson(4 + 0.2 * moved, size).astype(float)


def _batches(path: Path):  # noqa: ANN202 - pyarrow is imported late
    import pyarrow.parquet as pq

    source = pq.ParquetFile(path, read_dictionary=TEXTS, pre_buffer=False, buffer_size=65_536)
    return source.iter_batches(32_768, columns=[*NUMBERS, *TEXTS], use_threads=False)


def store(place: Path, name: str) -> None:
    """Profiles the reference once, as training does."""
    import pyarrow as pa

    from refit.drift.binning import make_binning
    from refit.drift.profile import build_profile
    from refit.drift.serialization import profile_to_bytes

    path = place / f"{name}.parquet"
    sample = pa.Table.from_batches([next(_batches(path))])
    anchors = make_binning(sample.slice(0, 100_000), [*NUMBERS, *TEXTS], None, 1)
    (place / "profile.bin").write_bytes(profile_to_bytes(build_profile(_batches(path), anchors, None)))


def refit(place: Path, name: str) -> dict:
    """Profiles the current rows in the stored cells and measures every column."""
    import numpy as np

    from refit.drift import distances as measures
    from refit.drift.comparison import measure_distances
    from refit.drift.profile import build_profile
    from refit.drift.serialization import profile_from_bytes

    reference, _ = profile_from_bytes((place / "profile.bin").read_bytes())
    current = build_profile(_batches(place / f"{name}.parquet"), reference.current_binning(), None)
    found = {column: measure_distances(reference, current, column) for column in reference.columns}
    psi = {}
    for column in reference.columns:
        cells = reference.bins(column)
        old, new = reference.fine(column), current.fine(column)
        psi[column] = measures.psi(*(np.bincount(cells.lookup[:-1], side) for side in (old, new)))
    return {
        "psi": psi,
        "ks": {column: found[column].kolmogorov_smirnov for column in NUMBERS},
        "wasserstein": {column: found[column].distance for column in NUMBERS},
        "jensen_shannon": {column: found[column].jensen_shannon for column in TEXTS},
    }


def scan(place: Path, name: str) -> None:
    """Reads every value of the same columns and adds it up, no more."""
    import duckdb

    sums = ", ".join([*(f"sum({name})" for name in NUMBERS), *(f"count({name})" for name in TEXTS)])
    texts = ", ".join(f"max({name})" for name in TEXTS)
    source = str(place / f"{name}.parquet")
    duckdb.sql("set enable_progress_bar = false")
    duckdb.sql(f"select {sums}, {texts} from read_parquet('{source}')").fetchall()  # noqa: S608 - our own names


def evidently(place: Path, name: str) -> dict:
    """Runs the default preset, and outside the clock nothing."""
    import pandas as pd
    from evidently import Report
    from evidently.presets import DataDriftPreset

    sides = [pd.read_parquet(place / f"{each}.parquet") for each in ("reference", name)]
    result = Report([DataDriftPreset()]).run(sides[1], sides[0]).dict()
    found: dict[str, dict] = {"wasserstein": {}, "jensen_shannon": {}}
    for metric in result["metrics"]:
        settings = metric.get("config", {})
        column = settings.get("column")
        if column:
            found["wasserstein" if column in NUMBERS else "jensen_shannon"][column] = float(metric["value"])
    return found


def scipy(place: Path, name: str) -> dict:
    """Measures the raw values as one would by hand."""
    import numpy as np
    import pandas as pd
    from scipy import stats
    from scipy.spatial import distance

    old, new = (pd.read_parquet(place / f"{each}.parquet") for each in ("reference", name))
    found: dict[str, dict] = {"ks": {}, "wasserstein": {}, "jensen_shannon": {}, "psi": {}}
    for column in NUMBERS:
        one, other = old[column].to_numpy(), new[column].to_numpy()
        found["ks"][column] = float(stats.ks_2samp(one, other, method="asymp").statistic)
        found["wasserstein"][column] = float(stats.wasserstein_distance(one, other) / one.std())
    for column in TEXTS:
        p, q = (side[column].value_counts(normalize=True).sort_index().to_numpy() for side in (old, new))
        found["jensen_shannon"][column] = float(distance.jensenshannon(p, q))
        found["psi"][column] = float(np.sum((q - p) * np.log(q / p)))
    return found


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _imports(who: str) -> None:
    """Imports what a turn needs before its clock starts."""
    if who in ("refit", "store"):
        import pyarrow.parquet  # noqa: F401

        import refit.drift.comparison
        import refit.drift.serialization  # noqa: F401
    elif who == "scan":
        import duckdb  # noqa: F401
    elif who == "evidently":
        import evidently.presets  # noqa: F401
    else:
        import pandas as pd  # noqa: F401
        from scipy import stats  # noqa: F401


if __name__ == "__main__":
    if len(sys.argv) == 1:
        main()
    else:
        sys.path.pop(0)  # this file's folder, whose names would hide others
        _imports(sys.argv[1])
        before = _cpu()
        turns = {"store": store, "refit": refit, "scan": scan, "evidently": evidently, "scipy": scipy}
        outcome = turns[sys.argv[1]](Path(sys.argv[2]), sys.argv[3])
        spent = _cpu() - before
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({"cpu": spent, "megabytes": peak, "found": outcome}))
