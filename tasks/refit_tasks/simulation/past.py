"""A project's whole past in memory, for what replays it: from its table, or from its load where it has none yet."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import pandas as pd
import pyarrow as pa

from refit.data.chunks import FRAMES, cut
from refit.errors import NotEnoughData
from refit.project import Frame, Project
from refit.records.snapshots import SnapshotRef
from refit.windows import BEGINNING, Window
from refit_tasks.storage.delta import open_table
from refit_tasks.storage.snapshot_rows import frame, read_rows
from refit_tasks.training.fit import foreign_code


def past_rows(definition: Project, until: datetime) -> pd.DataFrame:
    """Reads the rows of the project's table, or has the project load them where it has no table yet.

    Args:
        definition: The project.
        until: Later rows are left out, UTC.

    Returns:
        The rows, with a time each; of a table the labelled ones only, in the order of the key.

    Raises:
        NotEnoughData: If there are none.
        TrainingFailed: If the project's load raises.
    """
    window, table = Window(min(BEGINNING, until), until), open_table(definition.name)
    if table is not None:
        return read_rows(definition, SnapshotRef(definition.name, table.version(), window, 0, "", labelled=True))
    with foreign_code(definition):
        given = definition.load(window)
        frames: Iterable[Frame] = (given,) if isinstance(given, FRAMES) else given
        pieces = [piece for each in frames for piece in cut(each, definition.ingestion.piece_rows)]
    if not pieces:
        raise NotEnoughData(
            f"the load of {definition.name} gives no rows before {until.isoformat()}: give a later time"
        )
    rows = frame(pa.concat_tables(pieces, promote_options="permissive"))
    times = pd.to_datetime(rows[definition.timestamp], utc=True).dt.as_unit("us")
    return rows.assign(**{definition.timestamp: times})[times.notna()]
