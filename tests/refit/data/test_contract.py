from __future__ import annotations

from refit.data.contract import Contract, Rule


def test_a_contract_is_narrowed_to_what_can_be_judged() -> None:
    rules = (
        Rule("expect_column_values_to_not_be_null", {"column": "x"}),
        Rule("expect_column_values_to_not_be_null", {"column": "y"}),
        Rule("expect_column_pair_values_a_to_be_greater_than_b", {"column_A": "x", "column_B": "y"}),
        Rule("expect_compound_columns_to_be_unique", {"column_list": ["x", "z"]}),
        Rule("expect_column_values_to_be_between", {"column": "x", "row_condition": 'col("y") > 1'}),
        Rule("expect_column_values_to_be_between", {"column": "x", "row_condition": 'col("z") > 1'}),
        Rule("expect_table_row_count_to_be_between", {"min_value": 1}),
        Rule("expect_table_column_count_to_equal", {"value": 3}),
        Rule("expect_something_of_ones_own", {}),
    )
    contract = Contract(rules, "project").restrict_to(["x", "z"], without=["y"])
    assert contract.rules == (rules[0], rules[3], rules[5], rules[6])
    assert contract.origin == "project"
