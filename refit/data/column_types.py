"""The types of a table's columns, when they change: by the first values of an empty column, or by a person."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pyarrow as pa

from refit.data.acceptance import BETWEEN, IN_SET
from refit.data.casting import FORMER, cast_table, family_of, former_family
from refit.data.contract import Contract, Fault, Rule
from refit.data.schema import unify_schemas
from refit.errors import ContractViolation
from refit.project import Project


def find_first_types(expected: pa.Schema, schemas: Iterable[pa.Schema], definition: Project) -> dict[str, pa.Field]:
    """Finds the columns whose values in a batch have another type than the table, and the type that they would have.

    Args:
        expected: The table's schema.
        schemas: The schemas of the pieces of a batch.
        definition: The project, for the roles of the columns.

    Returns:
        From column to its field; without the timestamp, and without columns whose pieces have no common type.
    """
    pieces = [schema for schema in schemas if schema.names]
    changed: dict[str, pa.Field] = {}
    for field in expected:
        kinds = [piece.field(field.name).type for piece in pieces if piece.names.count(field.name) == 1]
        filled = [kind for kind in kinds if family_of(kind) != "nothing"]
        if field.name == definition.timestamp or not filled:
            continue
        try:
            found = _unify_column(field.name, filled, definition)
        except ContractViolation:
            continue
        if found.type != field.type and family_of(found.type) != former_family(field):
            changed[field.name] = found
    return changed


def _unify_column(name: str, kinds: list[pa.DataType], definition: Project) -> pa.Field:
    roles = {definition.timestamp: pa.timestamp("us", tz="UTC"), definition.target: pa.null()}
    others = [*definition.key, *definition.pii, *(definition.features or ())]
    rest = {**dict.fromkeys(others, pa.null()), **roles}
    rest.pop(name, None)
    return unify_schemas((pa.schema([(name, kind), *rest.items()]) for kind in kinds), definition).field(name)


def change_type(schema: pa.Schema, field: pa.Field) -> pa.Schema:
    """Replaces a column of a schema.

    Args:
        schema: The table's schema.
        field: The column's new field.

    Returns:
        The schema, with its columns in the same order. A column that becomes text remembers what it was, since a source
        may still return that.
    """
    former = family_of(schema.field(field.name).type)
    if pa.types.is_string(field.type):
        field = field.with_metadata({**(field.metadata or {}), FORMER: former.encode()})
    return schema.set(schema.get_field_index(field.name), field)


def cast_stored(rows: pa.Table, schema: pa.Schema) -> tuple[pa.Table, list[Fault]]:
    """Casts rows of a table to another schema, further than the rows of a batch: texts and numbers hold more.

    Args:
        rows: Rows of a table.
        schema: The other schema.

    Returns:
        The rows, and a fault for each value that the other type cannot hold.
    """
    for place, field in enumerate(rows.schema):
        wanted = schema.field(field.name).type if field.name in schema.names else field.type
        if pa.types.is_string(wanted) and not pa.types.is_string(field.type):
            rows = rows.set_column(place, field.name, rows.column(place).cast(pa.string()))
        elif pa.types.is_boolean(field.type) and family_of(wanted) == "number":
            rows = rows.set_column(place, field.name, rows.column(place).cast(pa.int64()))
    return cast_table(rows, schema)


def cast_changed(rows: pa.Table, former: pa.Schema) -> pa.Table:
    """Casts the columns whose type was changed back to their former type.

    Args:
        rows: Rows of a table.
        former: The table's former schema, which may lack columns and have others.

    Returns:
        The rows with their columns; a value that the former type cannot hold is missing.
    """
    changed = {one.name: one for one in former if one.name in rows.column_names}
    fields = [changed.get(one.name, one) for one in rows.schema]
    same = all(new.type == old.type for new, old in zip(fields, rows.schema, strict=True))
    return rows if same else cast_stored(rows, pa.schema(fields))[0]


def fit_rules(contract: Contract, schema: pa.Schema) -> Contract:
    """Fits the rules of a derived contract to columns whose type was changed since.

    Args:
        contract: The contract.
        schema: The table's schema now.

    Returns:
        The contract without ranges of columns that are no numbers, and with sets in the type of their column.
    """
    fitted = (_fit_rule(rule, schema) for rule in contract.rules)
    return replace(contract, rules=tuple(rule for rule in fitted if rule))


def _fit_rule(rule: Rule, schema: pa.Schema) -> Rule | None:
    column = rule.kwargs.get("column")
    if column not in schema.names or rule.type not in (BETWEEN, IN_SET):
        return rule
    kind = schema.field(column).type
    if rule.type == BETWEEN:
        return rule if family_of(kind) == "number" else None
    parts = (pa.table({column: pa.array([value])}) for value in rule.kwargs["value_set"])
    cells = (cast_stored(part, pa.schema([(column, kind)]))[0][column][0].as_py() for part in parts)
    values = sorted({cell for cell in cells if cell is not None})
    return replace(rule, kwargs={**rule.kwargs, "value_set": values}) if values else None
