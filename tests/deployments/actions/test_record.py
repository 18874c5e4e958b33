"""The commands around the record: who serves and who served, the way back, a person's word, and the ledger itself."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support.forked_commands import REFIT, refit
from tests.support.races import PROJECT, judged, rentals

pytestmark = pytest.mark.xdist_group("record")

AT = datetime(2026, 3, 2, tzinfo=UTC)
IMPORTED = """
import sys
from refit_deployments.main import main
sys.argv = ["refit", "rollback", "raced", "--json"]
try:
    main()
finally:
    sys.stderr.write(str(sorted({"prefect", "sklearn", "great_expectations"} & set(sys.modules))))
"""


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home where versions 1 and 2 have become champion, a day apart, and version 3 waits for approval."""
    directory = tmp_path_factory.mktemp("record") / "home"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REFIT_HOME", str(directory))
        from refit_tasks.promotion.promote import promote

        first = promote.fn(judged(rentals(), "a", None), None, AT)
        second = promote.fn(judged(rentals(), "b", first), first, AT + timedelta(days=1))
        judged(rentals("approve"), "c", second)
    return directory


@pytest.fixture(autouse=True)
def two_champions(written: Path, home: Path) -> None:
    shutil.copytree(written, home)


def answer(*arguments: str) -> dict[str, Any]:
    run = refit(*arguments, "--json")
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def test_who_served_at_a_moment() -> None:
    for at, version in {"2026-03-01T23:59": None, "2026-03-02": 1, "2026-03-03": 2}.items():
        serving = answer("champion", PROJECT, "--at", at)["champion"]
        assert (serving and serving["version"]) == version
    assert answer("champion", PROJECT)["champion"]["generation"] == 2


@pytest.mark.slow
def test_a_rollback_imports_neither_prefect_nor_a_model_library_and_is_told() -> None:
    from refit_tasks.registry.mlflow_client import open_mlflow

    run = subprocess.run([sys.executable, "-c", IMPORTED], capture_output=True, text=True, check=False, timeout=120)
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout)["champion"]["version"] == 1
    assert run.stderr == "[]"
    assert int(open_mlflow().get_model_version_by_alias(PROJECT, "champion").version) == 1
    told = refit("why", "6").stdout
    assert "Version 1 serves again, generation 3, replacing version 2." in told
    run = refit("rollback", PROJECT)
    assert run.returncode == 1
    assert "version 1 of raced is its first champion" in run.stderr


def test_a_person_approves_once_what_the_status_shows(hours: Path) -> None:
    file = (hours / "hours.py").read_text().replace('name="hours"', f'name="{PROJECT}"')
    (hours / "hours.py").write_text(file)
    assert answer("status", PROJECT)["projects"][PROJECT]["pending"] == [3]
    given = answer("approve", PROJECT, "3", "--who", "Ada", "--why", "it looks right")
    assert (given["who"], given["approved"], given["champion"]["version"]) == ("Ada", True, 3)
    assert "Version 3 was approved by Ada: it looks right." in refit("why", "6").stdout
    run = refit("approve", PROJECT, "3", "--refuse", "--who", "Bob")
    assert run.returncode == 1
    assert "version 3 of raced was approved by Ada: that answer is final" in run.stderr


@pytest.mark.slow
def test_the_ledger_is_exported_and_verified(home: Path, tmp_path: Path) -> None:
    import sqlite3

    from refit.records.ledger import Entry, canonical_json, find_broken_entry

    lines = refit("ledger", "export").stdout.splitlines()
    file = tmp_path / "out.jsonl"
    assert answer("ledger", "export", "--out", str(file)) == {"file": str(file), "entries": 5}
    assert file.read_text().splitlines() == lines == [canonical_json(json.loads(line)) for line in lines]
    read = [json.loads(line) for line in lines]
    assert find_broken_entry(Entry(**{**one, "at": datetime.fromisoformat(one["at"])}) for one in read) is None
    assert refit("ledger", "export", "--project", "other").stdout == ""
    assert refit("ledger", "export", "--json").returncode == 2
    cut = subprocess.run(["bash", "-c", f"{REFIT} ledger export | true"], capture_output=True, text=True, check=False)
    assert "Traceback" not in cut.stderr

    verified = answer("ledger", "verify")
    assert (verified["entries"], verified["intact"]) == (5, True)
    with closing(sqlite3.connect(home / "ledger.db")) as connection:
        connection.execute("DROP TRIGGER ledger_refuses_UPDATE")
        connection.execute("UPDATE ledger SET payload = replace(payload, 'good', 'Good') WHERE id = 3")
        connection.commit()
    broken = refit("ledger", "verify", "--json")
    assert broken.returncode == 1
    assert "the ledger was tampered with: entry 3 " in json.loads(broken.stdout)["error"]
