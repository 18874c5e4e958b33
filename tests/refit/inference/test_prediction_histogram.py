from __future__ import annotations

import numpy as np
import pyarrow as pa

from refit.inference.prediction_summary import BINS, MAX_COUNTED_CLASSES, count_predictions


def pieces(*columns, scores=None):
    given = scores or [[None] * len(column) for column in columns]
    kind = pa.float64()
    return [
        pa.table({"prediction": column, "score": pa.array(score, kind)})
        for column, score in zip(columns, given, strict=True)
    ]


def test_numbers_are_counted_in_intervals_of_all_pieces() -> None:
    found = count_predictions(pieces([1.0, 2.0], [3.0, 21.0, 21.0]))
    assert (found.what, found.ends, sum(found.counts)) == ("prediction", (1.0, 21.0), 5)
    assert found.counts[:3] == (1, 1, 1)
    assert found.counts[-1] == 2
    assert len(found.cells) == BINS
    other = count_predictions(pieces([-5.0, 100.0]), found.ends)
    assert (other.ends, other.counts[0], other.counts[-1]) == (found.ends, 1, 1)


def test_one_value_has_a_width_and_no_row_has_no_spread() -> None:
    assert sum(count_predictions(pieces([7.0, 7.0])).counts) == 2
    assert count_predictions([]) is None
    assert count_predictions(pieces(pa.array([], pa.float64()))) is None


def test_probabilities_stand_between_0_and_1() -> None:
    found = count_predictions(pieces(["no", "yes"], scores=[[0.0, 1.0]]))
    assert (found.what, found.ends, found.counts[0], found.counts[-1]) == ("probability", (0.0, 1.0), 1, 1)


def test_classes_are_counted_and_the_rare_ones_together() -> None:
    names = [f"class {number}" for number in np.repeat(np.arange(30), np.arange(30) + 1)]
    found = count_predictions(pieces(names[:100], names[100:]))
    assert found.cells[0] == "class 29"
    assert (found.cells[-1], found.counts[-1]) == ("others", sum(range(1, 11)))
    assert len(found.cells) == MAX_COUNTED_CLASSES + 1
    assert sum(found.counts) == len(names)
