"""The derived contract: its rules, and that pieces can be cut anyhow."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from sklearn.dummy import DummyRegressor

from refit.data.contract import Contract, Rule
from refit.data.derived_contract import derive_contract
from refit.policies.training import ContractPolicy
from refit.project import Project

START = datetime(2026, 1, 1, tzinfo=UTC)


def nothing(window):
    return pd.DataFrame()


def project(**changes):
    roles = {"name": "rentals", "kind": "regression", "target": "y", "timestamp": "t"}
    return Project(**(roles | {"load": nothing, "build": DummyRegressor} | changes))


def rows(count=4, **columns):
    times = pa.array([START + timedelta(hours=hour) for hour in range(count)], pa.timestamp("us", "UTC"))
    return pa.table({"t": times, "y": np.tile([0.0, 1.0], count)[:count]} | columns)


def rules(table, column, **changes):
    derived = derive_contract(project(**changes), [table]).rules
    return {rule.type.removeprefix("expect_column_values_to_"): rule for rule in derived if rule.columns == (column,)}


def limits(values, **changes):
    rule = rules(rows(len(values), x=pa.array(values, from_pandas=True)), "x", **changes).get("be_between")
    return rule and (rule.kwargs.get("min_value"), rule.kwargs.get("max_value"))


def test_time_and_key_are_never_null_and_have_no_range():
    table = rows(id=[1, 5, 2, 3])
    for column in ("t", "id"):
        found = rules(table, column, key=("id",))
        assert {name: rule.severity for name, rule in found.items()} == {"not_be_null": "critical"}


def test_a_feature_without_nulls_warns_of_them():
    assert rules(rows(x=[1, 3, 2, 2]), "x")["not_be_null"].severity == "warning"
    assert "not_be_null" not in rules(rows(x=[1, None, 2, 2]), "x")
    assert "not_be_null" not in rules(rows(), "y")


@pytest.mark.parametrize(
    ("values", "slack", "expected"),
    [
        ([0, 10, 5], 1.0, (-10, 20)),
        ([0, 10, 5], 0.0, (0, 10)),
        ([3.0, None, 2.0, 2.5], 0.5, (0.5, 4.5)),
        ([7, 7, 7], 1.0, (0, 14)),
        ([0, 0, 0], 1.0, (-1, 1)),
        ([1, 2, 2, 5], 1.0, (-4, None)),
        ([5, 2, 2, 1], 1.0, (None, 10)),
        ([-1.7e308, 1.7e308, 0.0], 1.0, None),
    ],
)
def test_numbers_get_a_range_with_slack_but_not_where_they_only_grow(values, slack, expected):
    assert limits(values, contract=ContractPolicy(range_slack=slack)) == expected


def test_a_column_without_values_gets_no_rule():
    assert rules(rows(x=pa.nulls(4, pa.float64())), "x") == {}
    assert rules(rows(x=pa.nulls(4, pa.string())), "x") == {}


def test_texts_of_few_categories_stay_among_them():
    found = rules(rows(x=["b", None, "a", "b"]), "x")
    assert found == {
        "be_in_set": Rule("expect_column_values_to_be_in_set", {"column": "x", "value_set": ["a", "b"]}, "warning")
    }
    assert rules(rows(x=["b", None, "a", "c"]), "x", contract=ContractPolicy(category_limit=2)) == {}


def test_too_many_categories_over_all_pieces_give_no_rule():
    pieces = [rows(x=["a", "b", None, "a"]), rows(x=["c", "c", None, "c"]), rows(x=["a", "a", None, "a"])]
    for limit, found in ((2, []), (3, ["expect_column_values_to_be_in_set"])):
        definition = project(contract=ContractPolicy(category_limit=limit))
        assert [rule.type for rule in derive_contract(definition, pieces).rules if rule.columns == ("x",)] == found


def test_classes_are_critical_whatever_their_type():
    for classes in ([0, 1, 1, None], ["yes", "no", "no", None], [True, False, False, None]):
        table = rows().set_column(1, "y", pa.array(classes))
        (rule,) = rules(table, "y", kind="classification").values()
        assert (rule.severity, rule.kwargs["value_set"]) == ("critical", sorted(set(classes) - {None}))


def test_columns_outside_the_features_have_no_rule():
    assert rules(rows(x=[1, 3, 2, 2]), "x", features=()) == {}
    assert set(rules(rows(), "y", features=())) == {"be_between"}


def test_a_trend_is_seen_across_pieces_the_newest_first_too():
    whole = rows(100, x=np.arange(100) // 10)
    pieces = [whole.slice(50, 50), whole.slice(25, 25), whole.slice(0, 25)]
    (rule,) = (
        rule
        for rule in derive_contract(project(), pieces).rules
        if rule.type.endswith("between") and rule.columns == ("x",)
    )
    assert rule.kwargs == {"column": "x", "min_value": -90.0}


@given(st.lists(st.none() | st.integers(0, 3), min_size=1, max_size=20), st.lists(st.integers(0, 20), max_size=3))
def test_pieces_give_the_contract_of_the_whole(values, cuts):
    table = rows(len(values), x=pa.array(values, pa.int64()), s=pa.array(list(map(str, values))))
    edges = sorted({0, len(values), *(cut for cut in cuts if cut < len(values))})
    pieces = [table.slice(start, end - start) for start, end in pairwise(edges)]
    assert derive_contract(project(), [table.slice(0, 0), *pieces]) == derive_contract(project(), [table])


def test_a_contract_survives_json():
    contract = derive_contract(project(key=("s",)), [rows(x=[1, None, 2, 3], s=["a", "b", "c", "d"])])
    assert Contract.from_json(json.loads(json.dumps(contract.to_json()))) == Contract(contract.rules, "recorded")


def test_a_rule_says_what_it_asks():
    rule = Rule("expect_column_pair_values_to_be_equal", {"column_A": "a", "column_B": "b", "mostly": 0.9})
    assert (rule.columns, str(rule)) == (("a", "b"), "expect_column_pair_values_to_be_equal on a, b (mostly=0.9)")
    assert (
        str(Rule("expect_table_row_count_to_equal", {"value": 3}))
        == "expect_table_row_count_to_equal on the table (value=3)"
    )
