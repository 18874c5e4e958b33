from datetime import UTC, datetime, timedelta

import pytest

from refit import Window
from refit.records.references import Champion, ModelRef, SnapshotRef

START = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def model(day: int) -> ModelRef:
    rows = SnapshotRef("days", 0, Window(START, START + DAY * day), day, "f" * 32, labelled=True)
    return ModelRef("days", f"trained until day {day}", "models:/m", rows, "key")


@pytest.mark.parametrize(("first", "rival"), [(40, 40), (50, 40), (39, 30), (30, 30), (29, 40)])
def test_the_rival_is_the_model_that_serves_unless_only_the_judged_one_has_not_seen_the_rows(first, rival) -> None:
    champion = Champion(model(40), 1, 1, START, judged=model(30))
    rows = Window(START + DAY * first, START + DAY * 60)
    assert champion.model_to_compare(rows) == model(rival)
    assert Champion(model(40), 1, 1, START).model_to_compare(rows) == model(40)
