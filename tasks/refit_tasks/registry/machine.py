"""The machine that a model is made on."""

from __future__ import annotations

import os
import platform
from functools import cache
from pathlib import Path

from refit.records.recipes import UNKNOWN


@cache
def machine() -> dict[str, str]:
    """Says what changes the last digits of a fit beside the code: processor, threads, BLAS library, interpreter.

    Returns:
        `cpu`, `threads`, `blas` and `python`.
    """
    from threadpoolctl import threadpool_info

    libraries = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
    blas = sorted({f"{pool['internal_api']} {pool['version']} {pool.get('architecture', '')}" for pool in libraries})
    return {
        "cpu": _processor(),
        "threads": str(os.cpu_count()),
        "blas": ", ".join(blas) or UNKNOWN,
        "python": platform.python_version(),
    }


def _processor() -> str:
    """Names the processor's type; `platform.processor` is empty on most Linux systems."""
    described = Path("/proc/cpuinfo")
    lines = described.read_text(encoding="utf-8").splitlines() if described.is_file() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()
