import io
from dataclasses import replace
from math import nan

import numpy as np
import pytest
from PIL import Image

from refit_tasks.presentation.charts import (
    CURRENT,
    REFERENCE,
    SHAPES,
    Mark,
    Point,
    draw_column,
    draw_performance,
    replace_missing_glyphs,
    select_bins,
)
from refit_tasks.simulation.backtest_report import draw_backtest
from tests.support.monitored_champion import HOSTILE, START, WEEK, backtest, column


def drawn(png: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(png))
    image.load()
    return image


def painted(png: bytes, colour: str) -> int:
    """Counts the pixels of about a colour; the palette may move it a little."""
    pixels = np.asarray(drawn(png).convert("RGB")).astype(int)
    wanted = np.array([int(colour[place : place + 2], 16) for place in (1, 3, 5)])
    return int((np.abs(pixels - wanted).max(axis=2) < 24).sum())


def test_a_columns_bars_are_as_long_as_its_shares_and_start_at_zero() -> None:
    found = replace(
        column(drifted=True),
        cells=("a", "unseen", "missing"),
        reference_shares=(1.0, 0.0, 0.0),
        current_shares=(0.5, 0.0, 0.5),
    )
    png = draw_column(found)
    assert png is not None
    assert painted(png, CURRENT) == pytest.approx(painted(png, REFERENCE), rel=0.1)
    half = draw_column(replace(found, current_shares=(0.5, 0.0, 0.0)))
    assert half is not None
    assert painted(half, CURRENT) == pytest.approx(painted(half, REFERENCE) / 2, rel=0.15)


def test_a_columns_picture_is_small_and_always_the_same() -> None:
    png = draw_column(column(drifted=True))
    assert png is not None
    assert drawn(png).size == (360, 180)
    assert len(png) < 8_000
    assert png == draw_column(column(drifted=True))
    assert draw_column(column()) is None


def test_missing_and_unseen_cells_are_there_and_small_categories_are_added_up() -> None:
    found = column("town", drifted=True, kind="category", many=40)
    cells = select_bins(found)
    assert [name for name, *_ in cells[-3:]] == ["29 others", "unseen", "missing"]
    assert sum(reference for _, reference, _ in cells) == pytest.approx(1.0)
    assert sum(current for _, _, current in cells) == pytest.approx(sum(found.current_shares))
    without = replace(
        column(drifted=True), reference_shares=(0.25,) * 4 + (0.0, 0.0), current_shares=(0.25,) * 4 + (0.0, 0.0)
    )
    assert [name for name, *_ in select_bins(without)] == [f"temperature {place}" for place in range(4)]


def test_any_name_can_be_drawn() -> None:
    assert draw_column(column(HOSTILE, drifted=True, kind="category", many=30))
    assert draw_performance(HOSTILE, [Point(START, 0.5, None, None)], [])
    assert draw_backtest(backtest(("never", HOSTILE)))
    assert replace_missing_glyphs("caf\u00e9 \u4e16\U00020000", 10) == "caf\u00e9 \u25af\u25af"


@pytest.mark.parametrize("event", SHAPES)
def test_every_event_has_a_mark_of_its_own(event) -> None:
    points = [Point(START + week * WEEK, 0.8, (0.78, 0.82), 0.8) for week in range(10)]
    colour = SHAPES[event][1]
    without, png = (
        draw_performance("roc_auc", points, []),
        draw_performance("roc_auc", points, [Mark(START + WEEK, event)]),
    )
    assert painted(png, colour) > painted(without, colour) + 20


def test_the_baseline_is_seen_beside_the_first_score() -> None:
    without, with_it = (
        draw_performance("roc_auc", [Point(START, 0.5, None, reference)], []) for reference in (None, 0.7)
    )
    assert painted(with_it, REFERENCE) > painted(without, REFERENCE) + 300


def test_years_of_windows_are_one_picture_of_bounded_size() -> None:
    points = [Point(START + week * WEEK / 7, 0.8 + 0.01 * (week % 7), (0.7, 0.9), 0.8) for week in range(800)]
    assert len(draw_performance("roc_auc", points, [Mark(points[9].at, "alert")] * 200, 2.0)) < 120_000


def test_a_backtest_shows_when_each_policy_trained() -> None:
    result = backtest()
    assert result.policies["never"].trained_after == ()
    assert result.policies["default"].trained_after == (1, 3, 5, 7)
    assert drawn(draw_backtest(result)).width == 860


def test_a_backtest_without_a_score_is_drawn_too() -> None:
    result = backtest()
    blank = {
        name: replace(found, loss=nan, relative_loss=nan, losses=(nan,) * 8) for name, found in result.policies.items()
    }
    assert drawn(draw_backtest(replace(result, policies=blank))).width == 860
