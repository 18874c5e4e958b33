"""A `refit up` whose servers ask for passwords, on databases that do, too: each secret can be searched for."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import httpx
import sqlalchemy

from refit_infra.settings import QUIET
from tests.support import forked_commands as commands
from tests.support.other_servers import free_port
from tests.support.postgres import Postgres
from tests.support.watched_project import COMMAND, PROJECT, rows_of

HOST = "127.0.0.2"
"""A loopback address that is not the usual one."""
PREFECT, MLFLOW, LEDGER, SHOP, HOOK = (
    f"planted-{name}-&-8f3a51c7" for name in ("prefect", "mlflow", "ledger", "shop", "hook")
)
SECRETS = (PREFECT, MLFLOW, LEDGER, SHOP, HOOK)
LOAD = 'sql("env:SHOP_URL", "SELECT * FROM parcels WHERE sent_at >= :start AND sent_at < :end", timestamp="sent_at")'


BLOCK = f"""
from prefect.blocks.notifications import SlackWebhook
SlackWebhook(url="http://127.0.0.1:9/services/{HOOK}").save("ml", overwrite=True)
"""


class Guarded:
    """All that is needed to run commands on it."""

    def __init__(self, directory: Path, database: Postgres) -> None:
        self.directory, self.database, self.home = directory, database, directory / "home"
        self.port, self.mlflow_port = free_port(), free_port()
        self.ledger, self.shop = self.url("keeper", LEDGER), self.url("seller", SHOP)
        self.said: list[str] = []
        projects, secret = directory / "projects", directory / "prefect.secret"
        projects.mkdir()
        secret.write_text(f"refit:{PREFECT}\n")
        notices = '), notifications=NotificationPolicy(blocks=("slack-webhook/ml",), on=("promotion", "failure")'
        source = PROJECT.replace('parquet("FILE", timestamp="sent_at")', LOAD).replace("import parquet", "import sql")
        (projects / "parcels.py").write_text(source.replace("POLICY", f"cooldown=timedelta(0){notices}"))
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "MLFLOW_"))},
            **QUIET,
            "REFIT_HOME": str(self.home),
            "REFIT_PROJECTS": str(projects),
            "REFIT_DATABASE_URL": self.ledger,
            "SHOP_URL": self.shop,
            "PREFECT_SERVER_API_AUTH_STRING_FILE": str(secret),
            "MLFLOW_AUTH_ADMIN_PASSWORD": MLFLOW,
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
            "OMP_NUM_THREADS": "1",
        }

    @property
    def prefect(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def mlflow(self) -> str:
        return f"http://{HOST}:{self.mlflow_port}"

    def url(self, role: str, password: str) -> str:
        return f"postgresql+psycopg://{role}:{quote(password)}@127.0.0.1:{self.database.port}/ledger"

    def refit(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Runs a command beside it, and keeps what it says."""
        run = commands.run(arguments, {**self.environment, **environment}, self.directory)
        self.said += [run.stdout, run.stderr]
        return run

    def plant_block(self) -> None:
        """Puts a notification block on the Prefect server, whose service does not answer."""
        known = {"PREFECT_API_URL": f"{self.prefect}/api", "PREFECT_API_AUTH_STRING": f"refit:{PREFECT}"}
        subprocess.run(
            [sys.executable, "-c", BLOCK], env={**self.environment, **known}, check=True, capture_output=True
        )

    def found(self, **elsewhere: str) -> set[tuple[str, str]]:
        """Searches all that was said or written for every secret, also as it is written in addresses and headers."""
        texts = {str(file): file.read_bytes() for file in self.home.rglob("*") if file.is_file()}
        texts["up"] = (self.directory / "up.err").read_bytes()
        texts |= {f"answer {number}": text.encode() for number, text in enumerate(self.said)}
        texts |= {name: text.encode() for name, text in elsewhere.items()}
        return {(name, secret) for name, text in texts.items() for secret in SECRETS if _holds(text, secret)}


def _holds(text: bytes, secret: str) -> bool:
    header = base64.b64encode(f"refit:{secret}".encode()).rstrip(b"=")[:-1]
    return any(form in text for form in (secret.encode(), quote(secret).encode(), header))


def ask_for_passwords(database: Postgres) -> None:
    """Makes two roles that PostgreSQL asks for their password, and the table of a shop."""
    rule = "".join(f"host all {role} 127.0.0.1/32 scram-sha-256\n" for role in ("keeper", "seller"))
    engine = sqlalchemy.create_engine(database.url, isolation_level="AUTOCOMMIT")
    rows_of(40).to_sql("parcels", engine, index=False)
    with engine.connect() as admin:
        rules = Path(str(admin.exec_driver_sql("SHOW hba_file").scalar()))
        rules.write_text(rule + rules.read_text())
        for role, password in (("keeper", LEDGER), ("seller", SHOP)):
            admin.exec_driver_sql(f"CREATE ROLE {role} LOGIN PASSWORD '{password}'")
        admin.exec_driver_sql("GRANT CREATE ON SCHEMA public TO keeper")
        admin.exec_driver_sql("GRANT SELECT ON parcels TO seller")
        admin.exec_driver_sql("SELECT pg_reload_conf()")
    engine.dispose()


@contextmanager
def guarded(directory: Path) -> Iterator[Guarded]:
    """Runs `refit up` with passwords, and ends it with the block."""
    database = Postgres()
    try:
        ask_for_passwords(database)
        place = Guarded(directory, database)
        with _up(place):
            yield place
    finally:
        database.close()


@contextmanager
def _up(place: Guarded) -> Iterator[None]:
    ports = ("--host", HOST, "--port", str(place.port), "--mlflow-port", str(place.mlflow_port))
    said = place.directory / "up.err"
    with said.open("w") as stream:
        command = [sys.executable, "-c", COMMAND, "up", *ports, "--json"]
        process = subprocess.Popen(
            command, env=place.environment, stdout=subprocess.PIPE, stderr=stream, text=True, cwd=place.directory
        )
    try:
        assert process.stdout
        place.said.append(process.stdout.readline())
        assert place.said[0], said.read_text()
        yield
    finally:
        process.terminate()
        try:
            process.wait(120)
        finally:
            process.kill()
            process.communicate()


def basic(name: str, password: str) -> Mapping[str, str]:
    token = base64.b64encode(f"{name}:{password}".encode()).decode()
    return {"authorization": f"Basic {token}"}


def statuses(address: str, asks: list[tuple[str, str]], headers: Mapping[str, str]) -> dict[tuple[str, str], int]:
    """Asks a server one by one."""
    with httpx.Client(base_url=address, headers=headers, timeout=60) as client:
        return {(method, path): client.request(method, path).status_code for method, path in asks}
