"""The compose file: sound by its own tools, hardened in every service, with the secrets that the script makes."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.errors import InsufficientPrivilege

from refit.errors import StateError
from refit_tasks.ledger.record import record, verify_ledger
from tests.support import postgres
from tests.support.infra_tools import INFRA, passes, read
from tests.support.postgres import Postgres

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


@pytest.mark.parametrize("name", ["serve", "metrics"])
def test_what_only_reads_the_ledger_has_the_login_that_may_only_read(name: str) -> None:
    service = read("compose/compose.yaml")["services"][name]
    assert service["environment"]["REFIT_DATABASE_URL_FILE"] == "/run/secrets/refit_metrics_url"
    assert not {"refit_database_url", "refit_owner_url", "postgres_password"} & set(service["secrets"])
    assert "GRANT refit_reader TO refit_metrics;" in (INFRA / "compose/postgres/roles.sh").read_text()


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
    assert len({made[name] for name in made if name.endswith(("_role", "_password"))}) == 8


@pytest.fixture
def cluster() -> Iterator[Postgres]:
    """A cluster whose superuser has the image's name for it, and none of the roles."""
    cluster = Postgres()
    try:
        with connected(cluster, "refit", "ledger") as admin:
            admin.execute("CREATE ROLE postgres SUPERUSER LOGIN")
        with connected(cluster, "postgres", "ledger") as admin:
            admin.execute("ALTER ROLE refit RENAME TO somebody")
        yield cluster
    finally:
        cluster.kill()


def connected(cluster: Postgres, role: str, database: str) -> psycopg.Connection:
    return psycopg.connect(f"host=127.0.0.1 port={cluster.port} user={role} dbname={database}", autocommit=True)


@pytest.mark.skipif(postgres.binaries() is None, reason=postgres.ABSENT)
def test_each_service_has_a_role_that_reaches_no_other_database(
    cluster: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logins = ("refit_owner", "refit", "refit_metrics", "prefect", "mlflow")
    for login in logins:
        (tmp_path / f"{login}_role").write_text(f"it's {login}")
    at = {"PGHOST": "127.0.0.1", "PGPORT": str(cluster.port), "SECRETS": str(tmp_path)}
    subprocess.run([INFRA / "compose/postgres/roles.sh"], env={**os.environ, **at}, check=True)
    with connected(cluster, "postgres", "postgres") as admin:
        found = admin.execute("SELECT rolname, rolpassword ~ '^SCRAM' FROM pg_authid WHERE rolpassword IS NOT NULL")
        assert dict(found.fetchall()) == dict.fromkeys(logins, True)
    for login, database in (("refit", "mlflow"), ("refit_metrics", "prefect"), ("mlflow", "refit")):
        with pytest.raises(psycopg.OperationalError, match="permission denied"):
            connected(cluster, login, database)

    def become(login: str) -> None:
        monkeypatch.setenv("REFIT_DATABASE_URL", f"postgresql+psycopg://{login}@127.0.0.1:{cluster.port}/refit")

    become("refit")
    with pytest.raises(StateError, match="refit ledger roles"):
        verify_ledger()  # there are no tables yet, and it may make none
    become("refit_owner")
    assert verify_ledger() == 0
    become("refit")
    record("rentals", "decision", {}, datetime.now(UTC))
    become("refit_metrics")
    assert verify_ledger() == 1
    with pytest.raises(StateError, match="refit ledger roles"):
        record("rentals", "decision", {}, datetime.now(UTC))
    for login in ("refit", "refit_metrics"):
        with connected(cluster, login, "refit") as session, pytest.raises(InsufficientPrivilege):
            session.execute("DELETE FROM ledger")
