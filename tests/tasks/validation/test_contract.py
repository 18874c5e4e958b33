"""The contract at work, with Great Expectations itself."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.dummy import DummyClassifier

from refit import ContractPolicy, Project
from refit.data.contract import BatchCounts, Contract, Fault, Rule
from refit.data.derived_contract import derive_contract
from refit.errors import BrokenProject, ContractViolation
from refit.records.references import Champion, ModelRef
from refit_tasks.ledger.record import entries
from refit_tasks.validation.contract import find_contract, judge_batch, judge_rows, record_contract, renew_contract
from refit_tasks.validation.great_expectations import is_row_rule, validate

AT = datetime(2026, 3, 1, tzinfo=UTC)
BETWEEN = "expect_column_values_to_be_between"
IN_SET = "expect_column_values_to_be_in_set"
NOT_NULL = "expect_column_values_to_not_be_null"


def nothing(window):
    return pd.DataFrame()


def deliver(window):
    return parcels()


def project(**changes):
    roles = {"name": "parcels", "kind": "classification", "target": "late", "timestamp": "at", "key": ("id",)}
    return Project(**(roles | {"load": nothing, "build": DummyClassifier} | changes))


def parcels(count=200, seed=0):
    rng = np.random.default_rng(seed)
    return pa.table(
        {
            "id": np.arange(count),
            "at": pa.array([AT + timedelta(minutes=int(minute)) for minute in range(count)], pa.timestamp("us", "UTC")),
            "weight": rng.uniform(1, 10, count),
            "gap": pa.array(np.where(rng.random(count) < 0.3, np.nan, 1.5), from_pandas=True),
            "city": rng.choice(["Bonn", "Köln"], count),
            "express": rng.random(count) < 0.5,
            "late": pa.array([None if n % 7 == 0 else n % 2 for n in range(count)], pa.int64()),
        }
    )


def changed(table, column, cells):
    values = table[column].to_pylist()
    for row, value in cells.items():
        values[row] = value
    return table.set_column(table.column_names.index(column), column, pa.array(values, table[column].type))


def judged(table, *rules):
    return judge_rows(Contract(rules, "project"), table)


def test_a_derived_contract_accepts_its_own_reference():
    findings = judge_rows(derive_contract(project(), [parcels()]), parcels())
    assert (findings.faults, findings.warned) == ([], {})


def test_a_derived_contract_finds_what_is_wrong():
    contract = derive_contract(project(), [parcels()])
    piece = changed(parcels(seed=1), "weight", {5: 400.0})
    piece = changed(piece, "late", {8: 2})
    piece = changed(piece, "id", {9: None})
    piece = changed(piece, "city", {3: "Ulm", 4: None, 6: None})
    findings = judge_rows(contract, piece)
    assert sorted(findings.faults, key=lambda fault: fault.row) == [
        Fault(5, BETWEEN, "weight", "400.0"),
        Fault(8, IN_SET, "late", "2.0"),
        Fault(9, NOT_NULL, "id", "missing"),
    ]
    assert sorted(findings.warned.values()) == [1, 2]


def test_other_units_are_found():
    piece = parcels().to_pandas().assign(weight=lambda rows: rows["weight"] * 100)
    faults = judge_rows(
        derive_contract(project(), [parcels()]), pa.Table.from_pandas(piece, preserve_index=False)
    ).faults
    assert {fault.column for fault in faults} == {"weight"}
    assert len(faults) > 190


@pytest.mark.parametrize("kind", [pa.float64(), pa.string(), pa.bool_(), pa.timestamp("us", "UTC"), pa.timestamp("us")])
def test_missing_values_break_only_rules_about_missing_values(kind):
    piece = pa.table({"x": pa.nulls(2, kind)})
    assert judged(piece, Rule(IN_SET, {"column": "x", "value_set": [1]})).faults == []
    assert [fault.row for fault in judged(piece, Rule(NOT_NULL, {"column": "x"})).faults] == [0, 1]


def test_an_empty_piece_has_no_findings():
    assert judged(parcels(0), Rule(NOT_NULL, {"column": "id"})).faults == []


@pytest.mark.parametrize(
    ("severity", "mostly", "rows", "warned"),
    [
        ("critical", 1.0, [0, 1], []),
        ("critical", 0.5, [], []),
        ("critical", 0.9, [0, 1], []),
        ("warning", 1.0, [], [2]),
        ("info", 1.0, [], [2]),
        ("warning", 0.5, [], []),
    ],
)
def test_severity_decides_and_mostly_is_respected(severity, mostly, rows, warned):
    piece = pa.table({"x": [-1.0, -2.0, 3.0, 4.0]})
    findings = judged(piece, Rule(BETWEEN, {"column": "x", "min_value": 0, "mostly": mostly}, severity))
    assert [fault.row for fault in findings.faults] == rows
    assert list(findings.warned.values()) == warned


def test_a_rule_over_two_columns_names_both():
    piece = pa.table({"a": [1, 2], "b": [2, 1]})
    rule = Rule("expect_column_pair_values_a_to_be_greater_than_b", {"column_A": "a", "column_B": "b"})
    assert judged(piece, rule).faults == [Fault(0, rule.type, "a,b", "1, 2")]


def conditional():
    import great_expectations.expectations as gxe
    from great_expectations.expectations.row_conditions import Column

    return [gxe.ExpectColumnValuesToBeBetween(column="x", min_value=0, row_condition=Column("kind") == "b")]


def test_a_condition_may_ask_for_any_column():
    piece = pa.table({"x": [-1, -1], "kind": ["a", "b"]})
    contract = find_contract(project(expectations=conditional), piece.schema, lambda: iter([]))
    assert [fault.row for fault in judge_rows(contract, piece).faults] == [1]


def test_threads_get_their_own_answers():
    found = {}

    def judge(number):
        piece = pa.table({"x": np.where(np.arange(50) == number, -1.0, 1.0)})
        found[number] = [judged(piece, Rule(BETWEEN, {"column": "x", "min_value": 0})).faults[0].row for _ in range(5)]

    threads = [threading.Thread(target=judge, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: [number] * 5 for number in range(8)}


def test_rules_that_need_all_rows_are_not_judged_by_piece():
    unique = Rule("expect_column_values_to_be_unique", {"column": "x"})
    assert not is_row_rule(unique)
    assert judged(pa.table({"x": [1, 1]}), unique).faults == []
    with pytest.raises(ContractViolation, match="expect_column_values_to_be_unique on x: 2 of 2 rows"):
        judge_whole(unique, pieces=[pa.table({"x": [1]}), pa.table({"x": [1]})])


def judge_whole(*rules, pieces, batch=None):
    batch = batch or BatchCounts(sum(piece.num_rows for piece in pieces), 0, AT, AT)
    return judge_batch(project(), Contract(rules, "project"), lambda: iter(pieces), batch)


def quantiles(low, severity="critical"):
    ranges = {"quantiles": [0.5], "value_ranges": [[low, 10]]}
    kwargs = {"column": "weight", "quantile_ranges": ranges}
    return Rule("expect_column_quantile_values_to_be_between", kwargs, severity)


def test_a_numpy_truth_value_is_left_at_the_door():
    (outcome,) = validate([quantiles(1)], parcels().to_pandas(), listing=False)
    assert outcome.success is True


def test_rules_about_the_whole_batch_see_all_pieces():
    pieces = [parcels(100), parcels(50, seed=1)]
    count = Rule("expect_table_row_count_to_equal", {"value": 150})
    columns = Rule("expect_table_columns_to_match_set", {"column_set": parcels().column_names})
    assert judge_whole(count, columns, quantiles(1), pieces=pieces) == ()


def test_a_broken_critical_rule_about_the_batch_stops_it_with_its_value():
    low = Rule("expect_column_mean_to_be_between", {"column": "weight", "min_value": 100})
    with pytest.raises(ContractViolation, match=r"mean_to_be_between on weight \(min_value=100\): [45]\.\d+.*quantile"):
        judge_whole(low, quantiles(9), pieces=[parcels()])


def test_a_broken_warning_about_the_batch_is_told():
    (sentence,) = judge_whole(quantiles(9, "warning"), pieces=[parcels()])
    assert sentence.startswith("expect_column_quantile_values_to_be_between on weight")


def test_the_policy_and_the_findings_of_rows_count_too():
    batch = BatchCounts(100, 50, AT, AT, {("type", "weight"): 50}, {"rule on city": 1200})
    with pytest.raises(ContractViolation) as refused:
        judge_whole(pieces=[changed(parcels(50), "weight", dict.fromkeys(range(50)))], batch=batch)
    assert "column 'weight' seems to have another type" in str(refused.value)
    assert "50.0% of the rows (50 of 100)" in str(refused.value)
    calm = BatchCounts(100, 0, AT, AT, warned={"rule on city": 1200})
    assert judge_whole(pieces=[parcels(100)], batch=calm) == ("rule on city: 1,200 rows",)


def test_a_derived_contract_is_recorded_once_and_found_again(home):
    definition = project(contract=ContractPolicy(range_slack=0.5))
    derived = find_contract(definition, parcels().schema, lambda: iter([parcels()]))
    assert derived.origin == "derived"
    record_contract(definition, derived, AT)
    recorded = find_contract(definition, parcels().schema, lambda: iter([parcels(seed=3)]))
    assert recorded == Contract(derived.rules, "recorded")
    record_contract(definition, recorded, AT)
    assert len(entries("parcels", "contract")) == 1


def test_a_promotion_renews_the_contract_from_the_training_rows(home):
    from refit_tasks.ingestion.ingest import ingest
    from refit_tasks.storage.snapshots import take_snapshot

    until = AT + timedelta(days=1)
    definition = project(load=deliver)
    ingest.fn(definition, until)
    trained = ModelRef("parcels", "run", "models:/m", take_snapshot.fn(definition, until), "key")
    for _ in range(2):  # once for each champion
        renew_contract(definition, Champion(trained, version=1, generation=1, since=until), until)
    newest, first = entries("parcels", "contract")
    assert newest.payload == first.payload
    assert newest.id > first.id


def own():
    import great_expectations.expectations as gxe

    return [
        gxe.ExpectColumnValuesToBeBetween(column="weight", min_value=0, max_value=5, mostly=0.2, severity="warning"),
        gxe.ExpectColumnValuesToBeBetween(column="at", min_value=AT, max_value=AT + timedelta(minutes=99)),
        gxe.ExpectColumnValuesToNotBeNull(column="id"),
    ]


def test_the_projects_own_expectations_are_the_contract():
    contract = find_contract(project(expectations=own), parcels().schema, lambda: iter([]))
    assert [(rule.type, rule.severity) for rule in contract.rules] == [
        (BETWEEN, "warning"),
        (BETWEEN, "critical"),
        (NOT_NULL, "critical"),
    ]
    assert (contract.origin, contract.rules[0].kwargs["mostly"]) == ("project", 0.2)
    findings = judge_rows(contract, parcels(101))
    assert findings.faults == [Fault(100, BETWEEN, "at", str(pd.Timestamp(AT + timedelta(minutes=100))))]


def misspelt():
    import great_expectations.expectations as gxe

    return [gxe.ExpectColumnValuesToNotBeNull(column="wieght")]


@pytest.mark.parametrize(
    ("expectations", "said"),
    [
        (misspelt, "names 'wieght' in expect_column_values_to_not_be_null: the table has the columns id, at, weight"),
        (lambda: ["not null"], "TypeError: 'not null' is not a Great Expectations object"),
        (lambda: None, "TypeError: 'NoneType' object is not iterable"),
        (lambda: {}["key"], "KeyError: 'key'"),
    ],
)
def test_broken_expectations_are_a_broken_project(expectations, said):
    with pytest.raises(BrokenProject) as broken:
        find_contract(project(expectations=expectations), parcels().schema, lambda: iter([]))
    assert said in str(broken.value)


def test_an_expectation_that_cannot_be_judged_is_a_broken_project():
    with pytest.raises(BrokenProject, match=r"be_between on city \(min_value=0\) cannot be evaluated"):
        judged(parcels(), Rule(BETWEEN, {"column": "city", "min_value": 0}))
