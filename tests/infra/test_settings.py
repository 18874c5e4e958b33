"""A wrong environment variable is one sentence that names it, and nothing is created."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError
from sqlalchemy import create_engine, text

from refit_deployments.output import command_output, describe_failure
from refit_infra.settings import Settings


def names(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]


@pytest.mark.parametrize("name", ["why?", "a?b=c", "deep?/home"])
def test_a_home_that_a_database_would_cut_short_is_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("REFIT_HOME", str(tmp_path / name))
    with pytest.raises(SystemExit) as ended, command_output(as_json=False, debug=False):
        pass
    assert ended.value.code == 1
    assert f"refit: REFIT_HOME is '{tmp_path / name}', but" in capfd.readouterr().err
    assert names(tmp_path) == []


@pytest.mark.parametrize("name", ["mit Leerzeichen", "Häuschen", "a#b", "100%", "plus+minus", "semi;colon"])
def test_the_ledger_lies_in_the_home_whatever_its_name(name: str, tmp_path: Path) -> None:
    home = tmp_path / name
    home.mkdir()
    engine = create_engine(Settings(home=home).ledger)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE entries (id INTEGER)"))
    engine.dispose()
    assert names(tmp_path) == [name]
    assert names(home) == ["ledger.db"]


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("REFIT_KEEP_HOURS", "a week"),
        ("REFIT_KEEP_VERSIONS", "-1"),
        ("REFIT_LOG_FORMAT", "xml"),
        ("REFIT_LEDGER_DAYS", "0"),
        ("REFIT_ENVIRONMENT", "prod"),
        ("REFIT_MLFLOW_URL", "mlflow.example"),
    ],
)
def test_a_wrong_variable_is_named(variable: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ValidationError) as raised:
        Settings()
    sentence = describe_failure(raised.value)
    assert sentence.startswith(f"{variable} is not ")
    assert "ValidationError" not in sentence
