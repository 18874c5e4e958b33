from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from refit import Window
from refit.errors import StateError
from refit.gate.evaluations import Evaluation
from refit.records.ledger import GENESIS, Entry, as_payload, chain_hash, find_broken_entry, from_payload

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def chain(length: int, once: str | None = None) -> list[Entry]:
    entries, previous = [], GENESIS
    for number in range(1, length + 1):
        payload = {"number": number, "value": 0.1 + number}
        digest = chain_hash(previous, "rentals", "verdict", AT, payload, once)
        entries.append(Entry(number, "rentals", "verdict", AT, payload, previous, digest, once))
        previous = digest
    return entries


def test_an_untouched_chain_holds() -> None:
    assert find_broken_entry([]) is None
    assert find_broken_entry(chain(5)) is None


@pytest.mark.parametrize(
    "change",
    [{"project": "other"}, {"kind": "promotion"}, {"at": AT + timedelta(microseconds=1)}, {"payload": {}}, {"id": 9},
     {"hash": "f" * 64}, {"previous": "f" * 64}],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
def test_a_change_of_any_field_is_found(change: dict[str, object]) -> None:
    entries = chain(5)
    entries[2] = replace(entries[2], **change)
    assert find_broken_entry(entries) == change.get("id", 3)


def test_what_must_not_be_recorded_twice_is_hashed_too() -> None:
    entries = chain(5, once="key")
    assert find_broken_entry(entries) is None
    for once in ("kez", None):
        assert find_broken_entry([*entries[:2], replace(entries[2], once=once), *entries[3:]]) == 3


def test_entries_from_before_that_was_hashed_still_hold_and_come_first() -> None:
    old = [replace(entry, once="key") for entry in chain(3)]
    assert find_broken_entry(old) is None
    payload = {"number": 4}
    digest = chain_hash(old[-1].hash, "rentals", "verdict", AT, payload, "new")
    new = Entry(4, "rentals", "verdict", AT, payload, old[-1].hash, digest, "new")
    assert find_broken_entry([*old, new]) is None
    digest = chain_hash(new.hash, "rentals", "verdict", AT, payload)
    assert find_broken_entry([*old, new, Entry(5, "rentals", "verdict", AT, payload, new.hash, digest)]) is None
    assert find_broken_entry([*old, new, Entry(5, "rentals", "verdict", AT, payload, new.hash, digest, "added")]) == 5


def test_a_removed_entry_is_found() -> None:
    entries = chain(5)
    assert find_broken_entry(entries[1:]) == 2
    assert find_broken_entry(entries[:2] + entries[3:]) == 4


def test_a_rewritten_entry_with_a_fitting_hash_breaks_the_next_one() -> None:
    entries = chain(5)
    payload = {"number": 3, "value": 99.0}
    digest = chain_hash(entries[2].previous, "rentals", "verdict", AT, payload)
    entries[2] = replace(entries[2], payload=payload, hash=digest)
    assert find_broken_entry(entries) == 4


def test_the_hash_ignores_key_order_and_the_zone_an_instant_is_written_in() -> None:
    elsewhere = AT.astimezone(timezone(timedelta(hours=5)))
    assert chain_hash(GENESIS, "p", "verdict", AT, {"a": 1, "b": 2}) == chain_hash(
        GENESIS, "p", "verdict", elsewhere, {"b": 2, "a": 1}
    )


def test_nan_is_refused_in_a_hash_and_kept_in_a_payload() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        chain_hash(GENESIS, "p", "verdict", AT, {"value": float("nan")})
    payload = as_payload(Evaluation(0.1 + 0.2, (1.0, float("nan"), float("-inf"))))
    assert payload["blocks"] == [1.0, "NaN", "-Infinity"]
    back = from_payload(Evaluation, payload)
    assert back.value == 0.1 + 0.2
    assert str(back.blocks) == "(1.0, nan, -inf)"


def test_what_another_version_wrote_is_refused_in_one_sentence():
    payload = as_payload(Window(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)))
    with pytest.raises(StateError, match="a ledger entry is not a valid Window \\(end: ") as refused:
        from_payload(Window, {"start": payload["start"]})
    assert "\n" not in str(refused.value)
