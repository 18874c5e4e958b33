"""Tables of projects whose names are alike: no two projects share one, and each project has exactly its own."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from pydantic import ValidationError
from sklearn.dummy import DummyRegressor

from refit import Project
from refit_tasks.catalog import discover
from refit_tasks.ledger.record import record
from refit_tasks.maintenance.doctor_tables import repair_tables
from refit_tasks.storage.delta import TABLE_SUFFIXES, is_appended, open_table, tables_of, write

AT = datetime(2026, 3, 1, tzinfo=UTC)
ROWS = pa.table({"x": [1.0]})


def project_named(name: str) -> Project:
    return Project(
        name=name, kind="regression", target="y", timestamp="t", load=lambda _: pd.DataFrame(), build=DummyRegressor
    )


@pytest.mark.parametrize("name", [f"bikes{suffix}" for suffix in TABLE_SUFFIXES[1:]] + ["bikes__labels__quarantine"])
def test_a_name_that_is_another_projects_table_is_refused_with_the_reason(name: str) -> None:
    with pytest.raises(ValidationError, match=f"'{name}' is that of a table of the project 'bikes.*both would share"):
        project_named(name)


def test_the_file_of_such_a_project_is_refused_and_no_other(home: Path, tmp_path: Path) -> None:
    text = "import pandas as pd\nfrom sklearn.dummy import DummyRegressor\nfrom refit import Project\n"
    rest = "kind='regression', target='y', timestamp='t', load=lambda _: pd.DataFrame(), build=DummyRegressor)\n"
    for name in ("bikes", "bikes__labels"):
        (tmp_path / f"{name}.py").write_text(f"{text}project = Project(name={name!r}, {rest}")
    found = discover(tmp_path)
    assert sorted(found.projects) == ["bikes"]
    assert "choose a name that does not end with __labels" in str(found.broken)


def test_names_with_two_underscores_have_their_own_tables_alone(home: Path) -> None:
    names = ["bikes", "bikes__city", "bikes__city__labels", "bikes__labels", "bikes__labels_old", "bikes_"]
    for name in names:
        write(name, None, [ROWS], ROWS.schema)
    assert project_named("bikes__city").name == "bikes__city"
    assert tables_of("bikes") == ["bikes", "bikes__labels"]
    assert tables_of("bikes__city") == ["bikes__city", "bikes__city__labels"]
    assert tables_of("bikes_") == ["bikes_"]
    assert tables_of("bikes__labels") == []
    assert tables_of() == sorted(names)


def test_the_doctor_of_one_project_leaves_files_of_another_alone(home: Path) -> None:
    for name in ("bikes", "bikes__city"):
        write(name, None, [ROWS], ROWS.schema)
    loose = home / "tables" / "bikes__city" / "part-00000-loose.parquet"
    loose.write_bytes(b"being written")
    assert list(repair_tables("bikes", dry_run=False)) == []
    assert loose.exists()
    assert [found.name for found in repair_tables("bikes__city", dry_run=True)]


def test_a_project_that_a_former_release_has_allowed_keeps_its_former_versions(home: Path) -> None:
    for _ in range(2):
        write("bikes__labels", open_table("bikes__labels"), [ROWS], ROWS.schema)
    assert is_appended("bikes__labels")
    record("bikes__labels", "notice", {}, AT)
    assert not is_appended("bikes__labels")
