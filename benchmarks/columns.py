"""What many columns cost: check and retrain of 2,000 columns x 2,500 rows, beside the same cells as 20 x 250,000.

Each command runs in a fresh process with a home of its own; the seconds are those of the processor, children included,
so that other work on the machine does not count.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

SHAPES = {"wide": (2_000, 2_500), "long": (20, 250_000)}
"""Columns and rows of each table, with as many cells."""
LIMIT = 3.0
"""How many times the long table's time the wide one may take."""
AS_OF = "2026-05-01"
PROJECT = '''
"""A table of the benchmark."""
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from refit import Project
from refit.sources import parquet

project = Project(
    name="NAME", kind="classification", target="label", timestamp="seen_at", key=("row",),
    load=parquet("FILE", timestamp="seen_at"),
    build=lambda: make_pipeline(StandardScaler(), LogisticRegression(C=0.01)),
)
'''


def main() -> None:
    """Prints the seconds of both tables and their ratio, and ends with 1 if it is above the limit."""
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        (root / "projects").mkdir()
        for name, (columns, rows) in SHAPES.items():
            write(root / f"{name}.parquet", columns, rows)
            text = PROJECT.replace("NAME", name).replace("FILE", str(root / f"{name}.parquet"))
            (root / "projects" / f"{name}.py").write_text(text)
        ratios = [_compare(root, *command) for command in (("check",), ("retrain", "--as-of", AS_OF))]
    if max(ratios) > LIMIT:
        raise SystemExit(f"many columns cost more than {LIMIT:g} times what many rows cost")


def write(path: Path, columns: int, rows: int) -> None:
    """Writes a seeded table: a key, a time, a label and numbers, two of which tell the label.

    Args:
        path: The Parquet file to write.
        columns: How many columns.
        rows: How many rows, over the same four months.
    """
    draw = np.random.default_rng(0)
    numbers = draw.normal(size=(rows, columns - 3))
    table = pd.DataFrame(numbers, columns=[f"number_{place:04}" for place in range(columns - 3)])
    chance = 1 / (1 + np.exp(-2 * numbers[:, 0] - numbers[:, 1]))
    table.insert(0, "row", np.arange(rows))
    table.insert(1, "seen_at", pd.date_range("2026-01-01", AS_OF, periods=rows + 1, tz="UTC")[:-1].as_unit("us"))
    table.insert(2, "label", (draw.random(rows) < chance).astype(int))
    table.to_parquet(path, index=False)


def _compare(root: Path, command: str, *options: str) -> float:
    """Runs a command on both tables."""
    seconds = {name: _run(root, name, command, name, *options) for name in SHAPES}
    ratio = seconds["wide"] / seconds["long"]
    told = ", ".join(
        f"{columns:,} columns x {rows:,} rows {seconds[name]:.0f} s" for name, (columns, rows) in SHAPES.items()
    )
    print(f"{command}: {told}; ratio {ratio:.1f}, the limit is {LIMIT:g}")
    return ratio


def _run(root: Path, name: str, *arguments: str) -> float:
    """Runs a command, and gives the seconds of the processor that it took with all its children."""
    environment = {**os.environ, "REFIT_HOME": str(root / f"home_{name}"), "REFIT_PROJECTS": str(root / "projects")}
    before = _spent()
    program = "from refit_deployments.main import main; main()"
    subprocess.run(
        [sys.executable, "-c", program, *arguments], env=environment, check=True, stdout=subprocess.DEVNULL, stderr=2
    )
    return _spent() - before


def _spent() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
