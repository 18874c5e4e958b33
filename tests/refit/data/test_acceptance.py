"""What people accept beyond a derived contract, and the commands that an error names for it."""

from __future__ import annotations

import shlex

import pytest

from refit.data.acceptance import (
    BETWEEN,
    IN_SET,
    MAX_COUNTED,
    MAX_VALUES,
    Acceptance,
    RejectedValues,
    widen_contract,
    write_commands,
)
from refit.data.contract import Contract, Fault, Rule

NOT_NULL = "expect_column_values_to_not_be_null"
OUTCOME = Rule(IN_SET, {"column": "outcome", "value_set": ["lost", "won"]})
COLOUR = Rule(IN_SET, {"column": "colour", "value_set": ["red"]}, "warning")
GRADE = Rule(IN_SET, {"column": "grade", "value_set": [1, 2]})
PRICE = Rule(BETWEEN, {"column": "price", "min_value": 0.0, "max_value": 10.0})
METER = Rule(BETWEEN, {"column": "meter", "min_value": 5.0})
DERIVED = Contract((Rule(NOT_NULL, {"column": "id"}), OUTCOME, COLOUR, GRADE, PRICE, METER), "recorded")


def kwargs(contract: Contract, column: str) -> dict[str, object]:
    (found,) = [rule.kwargs for rule in contract.rules if rule.kwargs["column"] == column]
    return found


@pytest.mark.parametrize(
    ("column", "accepted", "expected"),
    [
        ("outcome", Acceptance(("returned",)), {"column": "outcome", "value_set": ["lost", "returned", "won"]}),
        ("outcome", Acceptance(("lost",)), {"column": "outcome", "value_set": ["lost", "won"]}),
        ("colour", Acceptance(("blue", "green")), {"column": "colour", "value_set": ["blue", "green", "red"]}),
        ("grade", Acceptance((3, 0)), {"column": "grade", "value_set": [0, 1, 2, 3]}),
        ("price", Acceptance(high=40.0), {"column": "price", "min_value": 0.0, "max_value": 40.0}),
        ("price", Acceptance(low=-3.5), {"column": "price", "min_value": -3.5, "max_value": 10.0}),
        ("price", Acceptance(low=2.0, high=8.0), {"column": "price", "min_value": 0.0, "max_value": 10.0}),
        ("meter", Acceptance(low=1.0, high=9.0), {"column": "meter", "min_value": 1.0}),
    ],
)
def test_a_rule_is_widened_and_never_narrowed(column: str, accepted: Acceptance, expected: dict[str, object]) -> None:
    assert kwargs(widen_contract(DERIVED, {column: accepted}), column) == expected


def test_the_other_rules_stay_as_they_are() -> None:
    widened = widen_contract(DERIVED, {"price": Acceptance(high=99.0), "gone": Acceptance(("x",))})
    changed = [new for new, old in zip(widened.rules, DERIVED.rules, strict=True) if new != old]
    assert [rule.kwargs["column"] for rule in changed] == ["price"]
    assert widen_contract(DERIVED, {"id": Acceptance(("x",), 0.0, 1.0)}) == DERIVED


def test_acceptances_of_one_column_add_up() -> None:
    first, second = Acceptance(("a", "b"), low=0.0), Acceptance(("b", "c"), low=-1.0, high=7.0)
    assert first.merge(second) == Acceptance(("a", "b", "c"), low=-1.0, high=7.0)
    assert first.merge(Acceptance()) == first


def rejected(*cells: tuple[str, str, str]) -> RejectedValues:
    found = RejectedValues()
    for row, (rule, column, value) in enumerate(cells):
        found.add(Fault(row, rule, column, value))
    return found


@pytest.mark.parametrize(
    ("cells", "commands"),
    [
        ([(IN_SET, "outcome", "returned")], ["refit contract shop accept outcome returned"]),
        (
            [(IN_SET, "outcome", "lost on the way"), (IN_SET, "outcome", "it's"), (IN_SET, "outcome", "it's")],
            ["""refit contract shop accept outcome 'it'"'"'s' 'lost on the way'"""],
        ),
        ([(IN_SET, "grade", "-1")], ["refit contract shop accept -- grade -1"]),
        ([(BETWEEN, "price", "12.5"), (BETWEEN, "price", "11")], ["refit contract shop accept --max 12.5 price"]),
        (
            [(BETWEEN, "price", "-7.0"), (BETWEEN, "price", "11")],
            ["refit contract shop accept --min -7.0 --max 11.0 price"],
        ),
        ([(BETWEEN, "meter", "4.0")], ["refit contract shop accept --min 4.0 meter"]),
        ([(NOT_NULL, "id", "missing"), ("type", "price", "high")], []),
        (
            [(BETWEEN, "price", "12.5"), (IN_SET, "outcome", "returned")],
            ["refit contract shop accept outcome returned", "refit contract shop accept --max 12.5 price"],
        ),
    ],
)
def test_the_command_accepts_what_was_rejected(cells: list[tuple[str, str, str]], commands: list[str]) -> None:
    written = list(write_commands("shop", DERIVED, rejected(*cells)))
    assert written == commands
    assert all(shlex.split(command)[:4] == ["refit", "contract", "shop", "accept"] for command in written)


def test_a_command_names_the_most_frequent_values() -> None:
    many = [(IN_SET, "outcome", f"c{n}") for n in range(2 * MAX_COUNTED)] + [(IN_SET, "outcome", "often")]
    found = rejected((IN_SET, "outcome", "often"), *many)
    (command,) = write_commands("shop", DERIVED, found)
    assert shlex.split(command)[5] == "often"
    assert len(shlex.split(command)) == 5 + MAX_VALUES
    assert len(found.texts["outcome"]) == MAX_COUNTED
