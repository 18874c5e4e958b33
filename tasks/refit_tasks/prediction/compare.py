"""How the challenger of a project does beside its champion: what both said, held against the labels that have come."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import datetime
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from refit.errors import ModelError, ProjectError
from refit.gate.compared import Compared, Met, Role
from refit.gate.online_comparison import Side, of_canary, of_shadow
from refit.inference.recorded import classes_in, recorded
from refit.modelling.scoring import metric_of, score
from refit.project import Project
from refit.records.references import Challenger, Champion
from refit.windows import Window
from refit_tasks.ledger.generations import current_champion
from refit_tasks.ledger.record import entry
from refit_tasks.prediction.arrived import with_labels
from refit_tasks.prediction.labelled_predictions import Answered, read_answers
from refit_tasks.registry.challengers import find_challenger

log = logging.getLogger(__name__)


def compare_beside(
    definition: Project, as_of: datetime, start: datetime | None = None, end: datetime | None = None
) -> Compared | None:
    """Compares the challenger that waits with the champion, on the rows that they have answered.

    Args:
        definition: The project.
        as_of: The instant looked from, UTC: labels of rows that are not mature by then do not count.
        start: The first answer that counts; by default all since the challenger was judged.
        end: Just after the last one; by default `as_of`.

    Returns:
        What was found; `None` where no version waits, or the project's policy is off.

    Raises:
        ProjectError: If the project has no key.
    """
    champion, challenger = current_champion(definition.name), find_challenger(definition)
    if champion is None or challenger is None:
        return None
    if not definition.key:
        raise ProjectError(
            f"{definition.name} has no key, so nobody knows which label belongs to an answer: name the columns of one "
            f"in the project file, as key=('id',)"
        )
    last = end or as_of
    window = Window(min(start or _judged_at(challenger), last), last)
    answers = read_answers(definition, (champion.version, challenger.version), window)
    met = tuple(_met(definition, champion, challenger, with_labels(definition, answers, as_of))) if answers else ()
    role: Role = "canary" if definition.serving.challenger == "canary" else "shadow"
    return Compared(
        project=definition.name,
        as_of=as_of,
        window=window,
        champion=champion.version,
        challenger=challenger.version,
        role=role,
        share=definition.serving.share if role == "canary" else None,
        looked_at=answers.looked_at if answers else 1.0,
        met=met,
    )


def _judged_at(challenger: Challenger) -> datetime:
    judged = entry(challenger.verdict_id)
    return judged.at if judged else challenger.model.trained_on.window.end


def _met(definition: Project, champion: Champion, challenger: Challenger, answers: Answered) -> Iterator[Met]:
    """Compares by each way in which the two have met."""
    own = [pc.equal(answers.rows["version"], one.version) for one in (challenger, champion)]
    serving = pc.and_(own[1], pc.equal(answers.rows["role"], "champion"))
    shadow = answers.of(pc.and_(own[0], pc.equal(answers.rows["role"], "shadow")))
    if len(shadow.keys):
        beside = answers.of(serving)
        _, one, other = np.intersect1d(shadow.keys, beside.keys, assume_unique=True, return_indices=True)
        yield _compared(definition, "shadow", shadow.rows.take(pa.array(one)), beside.rows.take(pa.array(other)))
    canary = answers.of(pc.and_(own[0], pc.equal(answers.rows["role"], "canary")))
    if len(canary.keys):
        beside = answers.of(pc.and_(serving, pc.equal(answers.rows["source"], "http")))
        yield _compared(definition, "canary", canary.rows, beside.rows)


def _compared(definition: Project, role: Role, challenger: pa.Table, champion: pa.Table) -> Met:
    # Of a shadow both sides are the same rows; a canary's requests are told apart by when they came.
    by, rule = ("happened_at", of_shadow) if role == "shadow" else ("scored_at", of_canary)
    labelled = [_in_order(rows.filter(rows["truth"].is_valid()), by) for rows in (challenger, champion)]
    met = partial(Met, role, challenger.num_rows, pc.sum(challenger["mature"]).as_py() or 0, labelled[0].num_rows)
    if not labelled[0].num_rows or not labelled[1].num_rows:
        return met(None, None, "no row that both could be compared on is mature and has its label: wait for the labels")
    try:
        metric, sides = _sides(definition, labelled, by)
        gate = definition.gate
        return met(metric, rule(sides[0], sides[1], gate.significance, gate.min_rows))
    except ModelError as fault:
        return met(None, None, str(fault))


def _sides(definition: Project, labelled: list[pa.Table], by: str) -> tuple[str, list[Side]]:
    truths = [rows["truth"].to_pandas() for rows in labelled]
    found = definition.kind == "classification"
    classes = classes_in(labelled, (one for truth in truths for one in truth.unique())) if found else []
    metric = metric_of(definition, classes)
    sides = [
        Side(rows[by].to_pandas(), partial(score, metric, recorded(rows, classes), truth))
        for rows, truth in zip(labelled, truths, strict=True)
    ]
    return metric, sides


def _in_order(rows: pa.Table, by: str) -> pa.Table:
    """Sorts by time; rows of one time stay in the order of their keys, so that both sides of a shadow agree."""
    return rows.take(pa.array(np.argsort(rows[by].cast(pa.int64()).to_numpy(), kind="stable")))
