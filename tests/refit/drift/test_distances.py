"""Measures against scipy on the raw values: normal, skewed, discrete and heavy-tailed, with missing values."""

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats
from scipy.spatial import distance

from refit.drift import distances as measures
from refit.drift.binning import make_binning
from refit.drift.comparison import measure_distances
from refit.drift.profile import build_profile

DRAWS = {
    "normal": lambda rng, n, moved: rng.normal(0.1 * moved, 1 + 0.1 * moved, n),
    "far": lambda rng, n, moved: rng.normal(20 * moved, 1, n),
    "skewed": lambda rng, n, moved: rng.lognormal(0.1 * moved, 1, n),
    "very skewed": lambda rng, n, moved: rng.lognormal(0.1 * moved, 3, n),
    "discrete": lambda rng, n, moved: rng.poisson(3 + 0.2 * moved, n).astype(float),
    "heavy": lambda rng, n, moved: rng.standard_t(2, n) * (1 + 0.2 * moved),
    "no mean": lambda rng, n, moved: rng.standard_cauchy(n) * (1 + 0.2 * moved),
    "mostly zero": lambda rng, n, moved: np.where(rng.random(n) < 0.8 - 0.1 * moved, 0, rng.lognormal(0, 2, n)),
    "large": lambda rng, n, moved: 1e12 + rng.normal(moved, 10, n),
}

TOLERANCE = {"very skewed": 0.02, "no mean": 0.02}
"""Where a handful of values makes up most of the distance, the functions cross within their cells."""


def binned(values, with_missing, cells):
    """The raw values in the coarse cells, and the missing ones."""
    cuts = cells.bounds[list(cells.edges)]
    places = np.searchsorted(cuts, values, "right")
    return np.append(np.bincount(places, minlength=len(cuts) + 1), np.isnan(with_missing).sum())


@pytest.mark.parametrize("kind", DRAWS)
@pytest.mark.parametrize("moved", [0, 1])
def test_distances_are_those_of_scipy(kind, moved):
    rng = np.random.default_rng(3)
    old, new = DRAWS[kind](rng, 40_000, 0), DRAWS[kind](rng, 20_000, moved)
    gaps = np.where(rng.random(40_000) < 0.05, np.nan, old), np.where(rng.random(20_000) < 0.15, np.nan, new)
    anchors = make_binning(pa.table({"x": gaps[0][:20_000]}), ["x"], None, 1)
    reference, current = (build_profile([pa.table({"x": values})], anchors, None) for values in gaps)
    found = measure_distances(reference, current, "x")
    old, new = (values[~np.isnan(values)] for values in gaps)
    assert found.kolmogorov_smirnov == pytest.approx(stats.ks_2samp(old, new).statistic, abs=1e-3)
    assert found.distance == pytest.approx(
        stats.wasserstein_distance(old, new) / old.std(), rel=TOLERANCE.get(kind, 0.002), abs=1e-4
    )
    old, new = (binned(side, gap, reference.bins("x")) for side, gap in zip((old, new), gaps, strict=True))
    assert found.jensen_shannon == pytest.approx(distance.jensenshannon(old, new), rel=1e-3)
    old, new = (side + 0.5 * (0 in (*old, *new)) for side in (old, new))
    # A value may stand so near an edge that rounding puts it on the other side.
    assert found.psi == pytest.approx(stats.entropy(old, new) + stats.entropy(new, old), rel=1e-3, abs=1e-6)
    assert found.missing_change == pytest.approx(np.isnan(gaps[1]).mean() - np.isnan(gaps[0]).mean())
    assert found.unseen == 0


def test_psi_and_jensen_shannon_are_those_of_scipy():
    rng = np.random.default_rng(5)
    for cells in (2, 10, 30):
        old, new = rng.integers(1, 1_000, (2, cells))
        assert measures.psi(old, new) == pytest.approx(stats.entropy(old, new) + stats.entropy(new, old), rel=1e-12)
        assert measures.jensen_shannon(old, new) == pytest.approx(distance.jensenshannon(old, new), rel=1e-9)


def test_an_empty_cell_keeps_psi_finite():
    old, new = np.array([50, 50, 0, 0]), np.array([40, 50, 10, 0])
    smoothed = np.array([50.5, 50.5, 0.5]), np.array([40.5, 50.5, 10.5])
    assert measures.psi(old, new) == pytest.approx(stats.entropy(*smoothed) + stats.entropy(*smoothed[::-1]))
    assert measures.jensen_shannon(old, new) == pytest.approx(distance.jensenshannon(old, new))


def test_a_side_without_rows_is_at_no_distance():
    none, some = np.zeros(3, np.int64), np.array([1, 2, 3])
    for measure in (measures.psi, measures.jensen_shannon, measures.kolmogorov_smirnov):
        assert measure(none, some) == measure(some, none) == 0.0
    assert measures.unseen_share(none) == measures.missing_change(none, none) == 0.0
