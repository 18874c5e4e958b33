"""What `make stack` writes before anything runs: passwords, once, for their owner alone; settings that name files.

The stack itself is tested by `make test-stack`.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from refit.errors import StateError
from refit_deployments.production import object_store as sockets
from refit_deployments.production import postgres
from refit_deployments.production import postgres as cluster
from refit_deployments.production.environment import (
    apply_environment,
    settings_of,
    settings_of_server,
    write_environment,
)
from refit_deployments.production.layout import ENDPOINTS, Places
from refit_deployments.production.passwords import PASSWORDS, make_secrets, read_secret
from refit_infra.secrets import read_secret_files


def places(home: Path, first: int = 7_000) -> Places:
    return Places(home / "stack", first, first + 1, first + 2, first + 3 + 2 * len(ENDPOINTS))


def test_passwords_are_made_once_and_addresses_follow_the_ports(home: Path) -> None:
    make_secrets(places(home))
    words = {name: read_secret(places(home), name) for name in PASSWORDS}
    assert len(set(words.values())) == len(PASSWORDS)
    address = read_secret(places(home), "refit_database_url")
    make_secrets(places(home, 8_000))
    assert words == {name: read_secret(places(home), name) for name in PASSWORDS}
    assert read_secret(places(home), "refit_database_url") == address.replace(":7011/", ":8011/") != address


def test_sockets_that_were_left_go_and_those_of_others_are_named(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "DIRECTORY", tmp_path)
    ours, other = tmp_path / "seaweedfs-master-grpc-7007.sock", tmp_path / "seaweedfs-master-grpc-8007.sock"
    ours.touch()
    other.touch()
    sockets.clear_sockets(places(home))
    assert not ours.exists()
    assert other.exists()
    ours.mkdir()  # nobody can remove it as a file, as nobody can another user's
    with pytest.raises(StateError, match=f"{ours}, which another user's .* --objects-port N"):
        sockets.clear_sockets(places(home))


def test_only_their_owner_reads_them(home: Path) -> None:
    make_secrets(places(home))
    files = list(places(home).secrets.iterdir())
    assert len(files) > len(PASSWORDS)
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    assert places(home).secrets.stat().st_mode & 0o777 == 0o700


def test_the_file_for_a_shell_names_files_and_holds_no_secret(home: Path) -> None:
    make_secrets(places(home))
    written = write_environment(places(home)).read_text()
    assert not any(read_secret(places(home), name) in written for name in PASSWORDS)
    held = read_secret_files(settings_of(places(home)))
    assert held["AWS_SECRET_ACCESS_KEY"] == read_secret(places(home), "s3_secret_key")
    assert held["REFIT_DATABASE_URL"].endswith("/refit")


def test_what_a_shell_holds_of_another_place_is_not_in_the_way(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = ("AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN", "REFIT_DATABASE_URL")
    for name in (*other, *settings_of(places(home)), *settings_of_server(places(home))):
        monkeypatch.setenv(name, "another place")
    make_secrets(places(home))
    script = f". {write_environment(places(home))}; env"
    shell = subprocess.run(["sh", "-ec", script], capture_output=True, text=True, check=True).stdout
    assert not any(line.startswith(other) and "_FILE" not in line for line in shell.splitlines())
    apply_environment(places(home))
    assert not any(name in os.environ for name in other)
    assert os.environ["REFIT_DATABASE_URL_FILE"] == str(places(home).secrets / "refit_database_url")


def test_no_two_parts_want_one_port(home: Path) -> None:
    there = places(home)
    doors = [there.endpoint_port(endpoint, inner=inner) for endpoint in ENDPOINTS for inner in (False, True)]
    ports = [there.prefect, there.mlflow, there.database, *doors]
    assert len(ports) == len(set(ports))


def test_without_postgresql_a_sentence_says_how_to_get_it(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "INSTALLED", home / "nowhere")
    make_secrets(places(home))
    with pytest.raises(StateError, match="apt-get install postgresql"):
        postgres.postgres(places(home))
