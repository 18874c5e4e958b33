"""The validation of cron lines by Prefect's own parser, without importing Prefect, which takes seconds."""

from __future__ import annotations

import sys
from functools import cache
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

PARSER = ("_vendor", "croniter", "croniter.py")
"""The parser's file inside the package `prefect`."""
UNSUPPORTED = {"r", "h"}
"""Random and hashed fields, which the parser knows and Prefect refuses."""


def is_cron_line(text: str) -> bool:
    """Tells whether Prefect accepts a cron line.

    Args:
        text: The line.

    Returns:
        Whether it is valid.

    Example:
        >>> is_cron_line("0 3 * * 1"), is_cron_line("whenever"), is_cron_line("H 3 * * 1")
        (True, False, False)
    """
    return bool(_parser().croniter.is_valid(text)) and not UNSUPPORTED & set(text.casefold().split())


@cache
def _parser() -> ModuleType:
    """Loads the parser by its file; where a version of Prefect has it elsewhere, by its import name."""
    package = find_spec("prefect")
    file = Path(package.origin or "").parent.joinpath(*PARSER) if package else Path()
    spec = spec_from_file_location("_refit_cron_parser", file) if file.is_file() else None
    if spec is None or spec.loader is None:
        from prefect._vendor import croniter

        return croniter
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
