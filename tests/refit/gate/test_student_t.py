"""Quantiles of Student's t: the same as scipy's, which the command that shows a model card does not import."""

from __future__ import annotations

import pytest
from scipy import stats

from refit.gate.student_t import t_cdf, t_quantile


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 5, 8, 9, 24, 49, 200])
def test_quantiles_and_probabilities_are_those_of_scipy(freedom: int) -> None:
    for probability in (0.5, 0.8, 0.975, 0.999):
        assert t_quantile(probability, freedom) == pytest.approx(stats.t.ppf(probability, freedom), rel=1e-9, abs=1e-12)
    assert t_cdf(1.3, freedom) == pytest.approx(stats.t.cdf(1.3, freedom), rel=1e-12)
