"""Types of flow parameters, with the limits that Prefect's form, its API and the command line check.

The flow's docstring, which the form shows, describes each parameter.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field

ProjectName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
"""The name of a project."""
Instant = datetime | None
"""A past time, with a time zone."""
Words = Annotated[str, Field(min_length=1, max_length=200)]
"""A reason, short enough for one line of a list."""
EntryId = Annotated[int, Field(ge=1)]
"""The id of a ledger entry."""
VersionNumber = Annotated[int, Field(ge=1)]
"""The number of a registered version."""
Place = Annotated[str, Field(min_length=1, max_length=2_000)]
"""The absolute path of a file or URI of a table: a deployed run has its own working directory."""
Windows = Annotated[int, Field(ge=1, le=1_000)]
"""The number of windows of a backtest."""
