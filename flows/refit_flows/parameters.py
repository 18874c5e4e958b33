"""What may be asked of a flow: the limits that Prefect's form, its API and a call from the command line all check.

What each one means is said in the flow's docstring, which the form shows.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field

ProjectName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
"""As a project file may name its project."""
Instant = datetime | None
"""With a time zone, and past."""
Words = Annotated[str, Field(min_length=1, max_length=200)]
"""A reason, in one line of a list."""
EntryId = Annotated[int, Field(ge=1)]
"""Of the ledger."""
VersionNumber = Annotated[int, Field(ge=1)]
"""Of a registered model."""
Place = Annotated[str, Field(min_length=1, max_length=2_000)]
"""A file's path or a table's URI, absolute: a deployed run has a working directory of its own."""
Windows = Annotated[int, Field(ge=1, le=1_000)]
"""Into so many a history can be cut."""
