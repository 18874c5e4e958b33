"""The rules that every batch must keep, each with its value and its limit."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from refit.data.contract import BatchCounts, find_batch_problems
from refit.policies.training import ContractPolicy

UNTIL = datetime(2026, 1, 2, tzinfo=UTC)


def said(rows_in=100, quarantined=0, newest=UNTIL, faults=None, empty=(), **policy):
    batch = BatchCounts(rows_in, quarantined, UNTIL, newest, faults or {})
    return "; ".join(find_batch_problems(batch, ContractPolicy(**policy), empty))


def test_a_good_batch_breaks_nothing():
    assert said(quarantined=5) == ""


def test_too_many_quarantined_rows_are_explained_by_rule_and_column():
    words = said(quarantined=6, faults={("type", "temp"): 2, ("be_between", "wind"): 4})
    assert words.startswith("6.0% of the rows (6 of 100) would be quarantined")
    assert "is 5.0%; most often: be_between on 'wind' (4 rows), type on 'temp' (2 rows)" in words


def test_too_few_rows():
    assert said(rows_in=9, min_rows=10) == "only 9 rows are accepted, but contract.min_rows is 10"


@pytest.mark.parametrize(("age", "broken"), [(timedelta(hours=1), False), (timedelta(hours=1, seconds=1), True)])
def test_an_old_batch(age, broken):
    assert ("contract.freshness" in said(newest=UNTIL - age, freshness=timedelta(hours=1))) is broken


def test_freshness_of_nothing_is_no_question():
    assert said(newest=None, freshness=timedelta(hours=1)) == ""


@pytest.mark.parametrize(
    ("rows_in", "count", "empty", "named"),
    [(100, 10, {"x"}, True), (100, 9, {"x"}, False), (3, 3, {"x"}, True), (100, 10, set(), False)],
)
def test_a_column_of_misfits_only_is_retyped(rows_in, count, empty, named):
    words = said(rows_in=rows_in, faults={("type", "x"): count}, empty=empty)
    assert ("column 'x' seems to have another type" in words) is named
