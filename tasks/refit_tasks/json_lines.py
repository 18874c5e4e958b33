"""Files of `REFIT_HOME` with one JSON object a line, which several processes append to."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from refit_infra.settings import Settings
from refit_tasks.errors import open_home, translate_store_errors


def append_json_line(file: Path, values: Mapping[str, object]) -> None:
    """Appends one object in a single write, so that lines of several processes do not mix.

    Args:
        file: A file of `REFIT_HOME`, readable by its owner alone; made if needed.
        values: JSON values by key.

    Raises:
        StateError: If `REFIT_HOME` cannot be written.
    """
    line = json.dumps(values) + "\n"
    with translate_store_errors(str(file), "REFIT_HOME"):
        open_home(Settings())
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(descriptor, line.encode())
        finally:
            os.close(descriptor)
