"""Secrets from files reach what reads variables only; what is set itself goes first; nothing of them is shown."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from refit_infra.secrets import read_secret_files
from refit_infra.settings import Settings, apply_environment
from tests.support.infra_tools import REFIT


@pytest.fixture
def password(tmp_path: Path) -> Path:
    file = tmp_path / "password"
    file.write_text("s3cret with spaces \n")
    return file


def test_a_file_gives_the_variable_without_its_line_end(password: Path) -> None:
    assert read_secret_files({"MLFLOW_TRACKING_PASSWORD_FILE": str(password)}) == {
        "MLFLOW_TRACKING_PASSWORD": "s3cret with spaces "
    }
    assert read_secret_files({"PREFECT_API_KEY_FILE": str(password), "PREFECT_API_KEY": "given"}) == {}
    # Not every variable of that form is ours to read.
    assert read_secret_files({"REFIT_SERVE_KEYS_FILE": str(password), "SSL_CERT_FILE": "/nowhere"}) == {}


@pytest.fixture
def kept_environment() -> Iterator[None]:
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.mark.usefixtures("kept_environment")
def test_settings_take_the_ledgers_address_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("postgresql+psycopg://refit:s3cret@db/refit\n")
    os.environ["REFIT_DATABASE_URL_FILE"] = str(tmp_path / "url")
    apply_environment(Settings())
    assert Settings().ledger == "postgresql+psycopg://refit:s3cret@db/refit"


def test_a_missing_file_is_one_sentence_that_names_the_variable() -> None:
    named = {**os.environ, "REFIT_DATABASE_URL_FILE": "/run/secrets/away"}
    run = subprocess.run([REFIT, "ledger", "verify"], env=named, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert "REFIT_DATABASE_URL_FILE names /run/secrets/away, which cannot be read" in run.stderr


def test_the_images_start_becomes_the_command(password: Path) -> None:
    def start(*command: str) -> subprocess.CompletedProcess[str]:
        named = {**os.environ, "PREFECT_API_AUTH_STRING_FILE": str(password)}
        run = [sys.executable, "-m", "refit_infra.start", *command]
        return subprocess.run(run, env=named, capture_output=True, text=True, check=False)

    shown = start("sh", "-c", 'printf %s "$PREFECT_API_AUTH_STRING"; exit 3')
    assert (shown.stdout, shown.stderr, shown.returncode) == ("s3cret with spaces ", "", 3)
    nothing = start("no-such-command")
    assert nothing.returncode == 1
    assert "no-such-command: No such file" in nothing.stderr
    assert "s3cret" not in nothing.stderr
    assert "no command: add one" in start().stderr
