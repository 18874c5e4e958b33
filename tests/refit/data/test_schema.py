"""One schema for a first batch, and every kind of difference by name."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa
import pytest
from sklearn.dummy import DummyRegressor

from refit.data.schema import CATEGORY, compare_schemas, find_invalid_names, unify_schemas
from refit.errors import ContractViolation
from refit.policies.training import ContractPolicy
from refit.project import Project

ZONED = pa.timestamp("us", "UTC")
DOUBLE = pa.float64()


def nothing(window):
    return pd.DataFrame()


def project(**changes):
    roles = {"name": "rentals", "kind": "regression", "target": "y", "timestamp": "t"}
    return Project(**(roles | {"load": nothing, "build": DummyRegressor} | changes))


def schema(t=ZONED, y=DOUBLE, **others):
    return pa.schema([(name, kind) for name, kind in {"t": t, "y": y, **others}.items() if kind is not None])


def unified(*kinds):
    return unify_schemas([schema(x=kind) for kind in kinds], project()).field("x")


@pytest.mark.parametrize(
    ("kinds", "stored"),
    [
        ([pa.int8(), pa.uint64()], pa.int64()),
        ([pa.int64(), pa.float32()], pa.float64()),
        ([pa.decimal128(10, 2)], pa.float64()),
        ([pa.null(), pa.int16()], pa.int64()),
        ([pa.null()], pa.float64()),
        ([pa.int64(), pa.string()], pa.float64()),
        ([pa.bool_(), pa.string()], pa.bool_()),
        ([pa.large_string(), pa.string_view(), pa.binary()], pa.string()),
        ([pa.timestamp("ns", "Europe/Berlin"), pa.timestamp("s", "UTC")], ZONED),
        ([pa.timestamp("ns"), pa.date32()], pa.timestamp("us")),
    ],
)
def test_pieces_get_one_type(kinds, stored):
    assert unified(*kinds).type == stored


def test_a_category_is_stored_as_its_values_and_remembered():
    field = unified(pa.dictionary(pa.int8(), pa.string()), pa.string())
    assert (field.type, field.metadata) == (pa.string(), CATEGORY)
    assert unified(pa.string()).metadata is None


def test_roles_decide_where_types_are_weak():
    found = unify_schemas([schema(t=pa.string(), y=pa.string())], project())
    assert (found.field("t").type, found.field("y").type) == (ZONED, pa.float64())


@pytest.mark.parametrize(
    ("schemas", "changes", "said"),
    [
        ([schema(y=None)], {}, "column 'y' (the target) is missing"),
        ([schema(t=None)], {}, "column 't' (the timestamp) is missing"),
        ([schema()], {"key": ("id",)}, "column 'id' (part of the key) is missing"),
        ([schema()], {"features": ("temp",)}, "column 'temp' is missing"),
        ([schema(t=pa.timestamp("ns"))], {}, "has no time zone"),
        ([schema(t=pa.date32())], {}, "has no time zone"),
        ([schema(t=pa.int64())], {}, "not a time"),
        ([schema(y=pa.bool_())], {}, "regression needs numbers"),
        ([schema(x=pa.list_(pa.int8()))], {}, "column 'x' is list<item: int8>, which a table cannot store"),
        ([schema(x=pa.bool_()), schema(x=pa.int8())], {}, "bool and int8 in different pieces"),
        ([schema(x=ZONED), schema(x=pa.timestamp("us"))], {}, "in different pieces"),
        ([pa.schema([*schema(), ("y", pa.int8())])], {}, "column 'y' appears twice"),
        ([schema(x=pa.int8()), schema()], {}, "column 'x' is missing"),
        ([schema(), schema(x=pa.int8())], {}, "column 'x' is new"),
        ([], {}, "column 't' (the timestamp) is missing"),
    ],
)
def test_an_unfit_batch_is_refused_by_name(schemas, changes, said):
    with pytest.raises(ContractViolation) as refused:
        unify_schemas(schemas, project(**changes))
    assert said in str(refused.value)


@pytest.mark.parametrize(("policy", "names"), [("add", ["t", "y", "x"]), ("ignore", ["t", "y"])])
def test_columns_that_only_later_pieces_have_follow_the_policy(policy, names):
    definition = project(contract=ContractPolicy(added_columns=policy))
    assert (
        unify_schemas([schema(), schema(x=pa.list_(pa.int8()) if policy == "ignore" else pa.int8())], definition).names
        == names
    )


def explained(expected, found):
    return {(one.kind, one.column): one.sentence for one in compare_schemas(expected, found, project(key=("id",)))}


def test_a_missing_and_an_added_column_are_named():
    found = explained(schema(x=pa.int64(), z=pa.int64()), schema(other=pa.string()))
    assert found == {
        ("missing", "x"): "column 'x' is missing: return it from the load again",
        ("missing", "z"): "column 'z' is missing: return it from the load again",
        ("added", "other"): "column 'other' is new: drop it in the load, or set contract.added_columns to "
        "'ignore' or 'add'",
    }


def test_a_column_of_a_like_name_is_renamed():
    expected = schema(temp=pa.float64(), humidity=pa.float64())
    found = explained(expected, schema(temperature=pa.int64(), wind=pa.float64()))
    assert set(found) == {("renamed", "temp"), ("missing", "humidity"), ("added", "wind")}
    assert "column 'temp' seems to be renamed to 'temperature'" in found["renamed", "temp"]


def test_the_only_pair_of_one_family_is_renamed_whatever_its_name():
    assert set(explained(schema(a=pa.int64()), schema(quux=pa.float64()))) == {("renamed", "a")}
    assert set(explained(schema(a=pa.int64()), schema(quux=pa.string()))) == {("missing", "a"), ("added", "quux")}


def test_a_role_is_named_with_its_column():
    expected = schema(id=pa.string())
    assert "column 'y' (the target) is missing" in explained(expected, schema(y=None, id=pa.string()))["missing", "y"]
    assert "(part of the key)" in explained(expected, schema())["missing", "id"]


@pytest.mark.parametrize(
    ("was", "now", "said"),
    [
        (pa.float64(), pa.bool_(), "column 'x' was a number (double) and has the type bool now"),
        (pa.float64(), ZONED, "was a number"),
        (pa.bool_(), pa.int64(), "was a truth value"),
        (pa.string(), pa.int64(), "was a text"),
        (pa.float64(), pa.list_(pa.float64()), "has the type list<item: double> now"),
        (ZONED, pa.timestamp("ns"), "column 'x' has lost its time zone"),
    ],
)
def test_a_retyped_column_is_named(was, now, said):
    found = explained(schema(x=was), schema(x=now))
    assert set(found) == {("retyped", "x")}
    assert said in found["retyped", "x"]


@pytest.mark.parametrize(
    ("was", "now"),
    [
        (pa.float64(), pa.int8()),
        (pa.int64(), pa.float64()),
        (pa.float64(), pa.string()),
        (pa.string(), pa.dictionary(pa.int8(), pa.string())),
        (pa.string(), pa.null()),
        (ZONED, pa.timestamp("s", "Asia/Tokyo")),
        (ZONED, pa.string()),
        (pa.bool_(), pa.string()),
    ],
)
def test_what_cells_decide_is_no_difference(was, now):
    assert explained(schema(x=was), schema(x=now)) == {}


def test_a_column_that_appears_twice_is_named():
    assert (
        "appears twice"
        in explained(schema(), pa.schema([*schema(), ("x", pa.int8()), ("x", pa.int8())]))["renamed", "x"]
    )


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["a", "a"], "column 'a' appears twice"),
        (["a", "A"], "'A' and 'a' differ only in upper and lower case"),
        (["a", ""], "cannot be named ''"),
        (["_refit_time"], "cannot be named '_refit_time'"),
    ],
    ids=["twice", "case", "empty", "reserved"],
)
def test_names_that_a_table_cannot_have_are_refused(names: list[str], sentence: str) -> None:
    (problem,) = find_invalid_names(pa.schema([(name, pa.int64()) for name in names]))
    assert sentence in problem
