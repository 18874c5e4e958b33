"""Isolation of the global library settings that a project file changes.

A project file may call `sklearn.set_config`, `pandas.set_option`, `numpy.seterr`, `warnings.simplefilter` or
`os.chdir`. All project files share one interpreter, so what one of them sets is put back after its import, and is set
again only while that project's own functions run.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import sklearn


@dataclass(frozen=True, slots=True)
class LibrarySettings:
    """The global settings of libraries at one time."""

    sklearn: dict[str, Any]
    pandas: dict[str, Any]
    numpy: dict[str, Any]
    filters: tuple[Any, ...]
    """The filters of `warnings`."""
    directory: str
    """The working directory."""


def read_settings() -> LibrarySettings:
    """Reads the current settings.

    Returns:
        The settings.
    """
    filters = tuple(warnings.filters)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # reading a deprecated option warns
        options = dict(_options(pd.options, ""))
    return LibrarySettings(sklearn.get_config(), options, dict(np.geterr()), filters, str(Path.cwd()))


@contextmanager
def restore_settings() -> Iterator[None]:
    """Restores the settings when the block ends, also after an error."""
    before = read_settings()
    try:
        yield
    finally:
        apply_settings(before)


def apply_settings(wanted: LibrarySettings) -> None:
    """Applies the settings that differ from the current ones.

    Args:
        wanted: The settings to apply.
    """
    now = read_settings()
    if now.sklearn != wanted.sklearn:
        sklearn.set_config(**wanted.sklearn)
    for name, value in wanted.pandas.items():
        if now.pandas.get(name) != value:
            pd.set_option(name, value)
    if now.numpy != wanted.numpy:
        np.seterr(**wanted.numpy)
    if now.filters != wanted.filters:
        warnings.resetwarnings()
        warnings.filters.extend(wanted.filters)  # type: ignore[attr-defined]  # a list, which its type hides
    if now.directory != wanted.directory:
        os.chdir(wanted.directory)


def with_settings(function: Callable[..., Any], settings: LibrarySettings) -> Callable[..., Any]:
    """Wraps a function of a project so that it runs with the project's settings.

    Args:
        function: The function.
        settings: The settings that the project file made.

    Returns:
        The wrapped function. An estimator that it returns keeps the output format of the settings.
    """

    @wraps(function)
    def run(*args: Any, **words: Any) -> Any:  # noqa: ANN401 - whatever the function takes and returns
        with restore_settings():
            apply_settings(settings)
            result = function(*args, **words)
        output = settings.sklearn["transform_output"]
        if output != sklearn.get_config()["transform_output"] and hasattr(result, "set_output"):
            result.set_output(transform=output)
        return result

    return run


def _options(group: Any, prefix: str) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - pandas does not name its type
    for name in dir(group):
        value = getattr(group, name)
        if type(value) is type(pd.options):
            yield from _options(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value
