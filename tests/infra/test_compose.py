"""The compose file: sound by its own tools, hardened in every service, with the secrets that the script makes."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests import postgres
from tests.infra.tools import INFRA, passes, read
from tests.postgres import Postgres

FILE = INFRA / "compose/compose.yaml"
SERVICES: dict[str, dict[str, Any]] = read("compose/compose.yaml")["services"]
each_service = pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)


def test_compose_understands_it() -> None:
    passes("docker-compose", "--file", FILE, "config", "--quiet")


def test_it_follows_the_specification() -> None:
    passes("check-jsonschema", "--builtin-schema", "vendor.compose-spec", FILE)


@each_service
def test_a_service_is_hardened(service: dict[str, Any]) -> None:
    assert int(service["user"].partition(":")[0]) > 0
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    _, _, tag = service["image"].removeprefix("${REFIT_IMAGE:-").removesuffix("}").rpartition(":")
    assert tag
    assert "latest" not in tag


@each_service
def test_a_service_is_seen_to_be_healthy_unless_it_ends(service: dict[str, Any]) -> None:
    assert ("healthcheck" in service) != (service["restart"] == "no")


@each_service
def test_only_this_machine_reaches_a_port(service: dict[str, Any]) -> None:
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    # The network that reaches outside is for those that people open.
    assert ("edge" in service["networks"]) == bool(service.get("ports"))


@each_service
def test_a_service_has_the_secrets_that_its_settings_name(service: dict[str, Any]) -> None:
    settings = {str(value) for value in service.get("environment", {}).values()}
    words = {word for argument in service.get("command", []) for word in argument.split("=")}
    named = {word.removeprefix("/run/secrets/") for word in settings | words if word.startswith("/run/secrets/")}
    assert named <= set(service.get("secrets", []))


def make_secrets(directory: Path) -> dict[str, str]:
    script = INFRA / "compose/make_secrets.sh"
    subprocess.run([script, directory], check=True, timeout=120, cwd="/")
    return {file.name: file.read_text() for file in directory.iterdir()}


def test_the_script_makes_every_secret_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    made = make_secrets(tmp_path / "secrets")
    declared = read("compose/compose.yaml")["secrets"]
    assert set(made) == set(declared) == {Path(one["file"]).name for one in declared.values()}
    assert make_secrets(tmp_path / "secrets") == made
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700
    assert made["prometheus_key"].strip() not in made["serve_keys"]
    assert made["refit_role"] in made["refit_database_url"]
    assert len({made[name] for name in made if name.endswith(("_role", "_password"))}) == 6


@pytest.mark.skipif(postgres.binaries() is None, reason=postgres.ABSENT)
def test_each_service_has_a_role_that_reaches_no_other_database(tmp_path: Path) -> None:
    for service in ("refit", "prefect", "mlflow"):
        (tmp_path / f"{service}_role").write_text(f"it's {service}")
    cluster = Postgres()
    try:
        at = {"PGHOST": "127.0.0.1", "PGPORT": str(cluster.port), "SECRETS": str(tmp_path)}

        def psql(user: str, database: str, statement: str) -> subprocess.CompletedProcess[str]:
            command = ["psql", "-U", user, "-d", database, "-Atc", statement]
            return subprocess.run(command, env={**os.environ, **at}, capture_output=True, text=True, check=False)

        # The cluster's own superuser has the name of one of the roles.
        assert psql("refit", "ledger", "CREATE ROLE postgres SUPERUSER LOGIN").returncode == 0
        assert psql("postgres", "ledger", "ALTER ROLE refit RENAME TO somebody").returncode == 0
        subprocess.run([INFRA / "compose/postgres/roles.sh"], env={**os.environ, **at}, check=True)
        assert psql("refit", "refit", "CREATE TABLE ledger (id int)").returncode == 0
        assert "permission denied" in psql("refit", "mlflow", "SELECT 1").stderr
        assert "permission denied" in psql("refit", "refit", "CREATE ROLE intruder").stderr
    finally:
        cluster.kill()
