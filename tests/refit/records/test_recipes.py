"""What is different from a record is named, and nothing else."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

from refit.records.ledger import as_payload, from_payload
from refit.records.recipes import Recipe, RecipeChange, Reproduction, find_changes, parse_versions

LOCK = "numpy==1.0\nscipy==1.17\n"
NOW = "numpy==2.0\nscipy==1.17\nnew==1\n"


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


RECIPE = Recipe(
    "a" * 64, sha(LOCK), 0, "c" * 40, "False", "a processor", "2", "beads", "3.11.1", "{}", "numpy==1.0\nscipy==1.17"
)


def causes(**now: object) -> dict[str, tuple[str, str]]:
    found = find_changes(RECIPE, replace(RECIPE, **now), (LOCK, NOW if "lock_hash" in now else LOCK))
    return {one.what: (one.recorded, one.now) for one in found}


def test_nothing_is_named_where_nothing_differs() -> None:
    assert causes() == {}
    assert causes(commit="d" * 40, dirty="True") == {}, "what counts is the files' content"


def test_each_difference_is_named_by_what_it_is() -> None:
    assert causes(seed=7) == {"seed": ("0", "7")}
    assert causes(file_hash="b" * 64) == {"code": ("aaaaaaaaaaaa (commit cccccccccccc)", "bbbbbbbbbbbb")}
    assert causes(cpu="an abacus")["machine"][1] == "an abacus, 2 threads, beads, Python 3.11.1"
    assert list(causes(threads="4")) == list(causes(blas="stones")) == list(causes(python="3.12")) == ["machine"]
    assert list(causes(seed=7, lock_hash=sha(NOW), cpu="an abacus")) == ["lock", "seed", "machine"]


def test_a_lock_names_the_packages_that_differ() -> None:
    other = {"lock_hash": sha(NOW), "packages": "numpy==2.0\nscipy==1.17"}
    assert causes(**other) == {"lock": ("new absent, numpy 1.0", "new 1, numpy 2.0")}


def test_what_is_installed_counts_where_the_lock_is_the_same() -> None:
    assert causes(packages="numpy==1.1\nscipy==1.17") == {"lock": ("numpy 1.0", "numpy 1.1")}
    assert causes(packages="numpy==absent\nscipy==1.17") == {"lock": ("numpy 1.0", "numpy absent")}


@pytest.mark.parametrize("edited", ["", "numpy==9.9\n"])
def test_a_copy_of_the_lock_that_is_not_the_recorded_one_is_not_believed(edited: str) -> None:
    now = replace(RECIPE, lock_hash=sha(NOW), packages="numpy==2.0\nscipy==1.17")
    (found,) = find_changes(RECIPE, now, (edited, NOW))
    assert (found.recorded, found.now) == ("numpy 1.0", "numpy 2.0")
    (found,) = find_changes(replace(RECIPE, packages=""), replace(now, packages=""), (edited, NOW))
    assert found.recorded == f"a lock file {RECIPE.lock_hash[:12]} without an intact copy in MLflow"


def test_a_uv_lock_is_read() -> None:
    text = 'version = 1\n[[package]]\nname = "numpy"\nversion = "2.4.0"\n[[package]]\nname = "refit"\n'
    assert parse_versions(text) == {"numpy": "2.4.0", "refit": ""}


def test_a_record_that_kept_less_is_read_and_blames_nothing_that_it_does_not_know() -> None:
    old = {name: value for name, value in as_payload(RECIPE).items() if name not in ("python", "tuned", "packages")}
    recipe = from_payload(Recipe, old)
    assert find_changes(recipe, replace(RECIPE, packages=""), (LOCK, LOCK)) == ()


def test_a_difference_that_nothing_explains_is_unknown() -> None:
    found = Reproduction("tides", 3, False, 0.5, 10, "today's", (), 1.0)  # noqa: FBT003
    assert [one.what for one in found.causes] == ["unknown"]
    seed = RecipeChange("seed", "0", "7")
    assert replace(found, differs=(seed,)).causes == (seed,)
    same = replace(found, reproduced=True, difference=0.0, differs=(seed,))
    assert (same.causes, same.as_json()["differs"]) == ((), [{"what": "seed", "recorded": "0", "now": "7"}])
