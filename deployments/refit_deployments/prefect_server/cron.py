"""The validation of cron lines by Prefect's own parser, without importing Prefect, which takes seconds."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from functools import cache
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

PARSER = ("_vendor", "croniter", "croniter.py")
"""The parser's file inside the package `prefect`."""
_ANY_TIME = datetime(2026, 1, 1, tzinfo=UTC)
"""A time from which a line is looked for, some decades ahead; which one does not matter."""
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


def find_cron_fault(text: str) -> str:
    """Finds what is wrong with a cron line.

    Args:
        text: The line.

    Returns:
        The rest of a sentence that begins with the line; empty for a line that fires.

    Example:
        >>> find_cron_fault("0 0 30 2 *")
        'never fires, since no date fits it: correct the day or the month'
    """
    if not is_cron_line(text):
        return "is not a cron line: correct it"
    try:
        _parser().croniter(text, _ANY_TIME).get_next(datetime)
    except ValueError:
        return "never fires, since no date fits it: correct the day or the month"
    return ""


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
