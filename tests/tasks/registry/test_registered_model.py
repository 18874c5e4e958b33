"""What people find in MLflow: the registered model's words, and the searches that the docs promise."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from refit import Project
from refit_tasks.promotion.promote import promote
from refit_tasks.registry.mlflow_client import open_mlflow
from refit_tasks.registry.register import update_registered_model
from tests.support.registered_models import Judge

AT = datetime(2026, 3, 2, tzinfo=UTC)


def found(search: str) -> list[int]:
    return sorted(int(one.version) for one in open_mlflow().search_model_versions(search))


def described(project: Project, **changed: object) -> str:
    client = open_mlflow()
    update_registered_model(client, project.model_copy(update=changed))
    return str(client.get_registered_model("rentals").description)


def test_versions_are_found_by_what_became_of_them(judge: Judge, rentals: Project) -> None:
    first = promote.fn(judge("a"), None, AT)
    judge("b", over=first, promote=False)
    third = judge("c", over=first)
    of = "name = 'rentals' AND tags.`refit.verdict`"
    assert (found(f"{of} = 'promoted'"), found(f"{of} = 'rejected'"), found(f"{of} = 'fit'")) == ([1], [2], [3])
    promote.fn(third, first, AT)
    assert found(f"{of} = 'promoted'") == [1, 3]
    for search, versions in {
        "tags.`refit.generation` = '2'": [3],
        "tags.`refit.failed` LIKE '%floor%'": [2],
        "tags.`refit.over` = '1'": [2, 3],
        "tags.`refit.run_key` = 'b'": [2],
        "tags.`refit.table_version` = '3'": [1, 2, 3],
        "tags.`refit.trained_until` LIKE '2026-02-%'": [1, 2, 3],
        f"tags.`refit.entry` = '{third.verdict_id}'": [3],
    }.items():
        assert found(search) == versions, search
    models = open_mlflow().search_registered_models("tags.`refit.kind` = 'regression' AND name = 'rentals'")
    assert [(one.name, one.aliases) for one in models] == [("rentals", {"champion": 3, "challenger": 3})]


def test_the_registered_model_says_what_it_is_and_follows_the_project_file(mlflow_home: Path, rentals: Project) -> None:
    assert described(rentals) == (
        "Bikes | rented.\n\nKind: regression. Target: `rentals`. Maintained by Refit from its project file: the alias "
        "`champion` is the version that serves, `challenger` the one that was judged last."
    )
    elsewhere = described(rentals, description="Bikes returned.", file=Path("/anywhere/rentals.py"))
    assert elsewhere.startswith("Bikes returned.\n\nKind: regression.")
    assert "Maintained by Refit from the project file `rentals.py`:" in elsewhere
    assert described(rentals, kind="classification").startswith("Bikes | rented.\n\nKind: classification.")
    assert open_mlflow().get_registered_model("rentals").tags["refit.kind"] == "classification"


@pytest.mark.parametrize("before", [True, False])
def test_what_a_person_has_written_instead_is_kept(before: bool, mlflow_home: Path, rentals: Project) -> None:
    client = open_mlflow()
    if before:
        client.create_registered_model("rentals", description="Ask Ada.")
    else:
        update_registered_model(client, rentals)
        client.update_registered_model("rentals", "Ask Ada.")
    assert described(rentals, description="Bikes returned.") == "Ask Ada."
    client.update_registered_model("rentals", "")
    assert described(rentals).startswith("Bikes | rented.")
