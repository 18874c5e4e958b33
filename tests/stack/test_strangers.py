"""Who does not know the passwords of the stack is refused by each of its servers, and so is who has a wrong one."""

from __future__ import annotations

import boto3
import httpx
import psycopg
import pytest
from botocore.exceptions import ClientError

from refit_deployments.production.passwords import LOGINS
from tests.support.running_stack import Standing

WRONG = [None, ("admin", "wrong"), ("stranger", "wrong")]


@pytest.mark.parametrize("said", WRONG, ids=["nothing", "a wrong password", "a wrong name"])
def test_prefect_and_mlflow_refuse(stack: Standing, said: tuple[str, str] | None) -> None:
    api, mlflow = stack.settings["PREFECT_API_URL"], stack.settings["MLFLOW_TRACKING_URI"]
    artifacts = f"{mlflow}/api/2.0/mlflow-artifacts/artifacts?path="
    asked = (f"{api}/admin/version", f"{mlflow}/api/2.0/mlflow/experiments/get?experiment_id=0", artifacts)
    assert [httpx.get(address, auth=said, timeout=60).status_code for address in asked] == [401, 401, 401]


def test_the_object_store_refuses(stack: Standing) -> None:
    address, known = stack.settings["AWS_ENDPOINT_URL"], stack.settings["AWS_ACCESS_KEY_ID"]
    assert httpx.get(f"{address}/refit-tables", timeout=60).status_code == 403
    for name in (known, "stranger"):
        keys = {"aws_access_key_id": name, "aws_secret_access_key": "wrong", "region_name": "us-east-1"}
        store = boto3.client("s3", endpoint_url=address, **keys)
        for asked in (store.list_buckets, lambda store=store: store.list_objects_v2(Bucket="refit-models")):
            with pytest.raises(ClientError) as refused:
                asked()
            assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


@pytest.mark.parametrize("login", [*LOGINS, "postgres", "stranger"])
def test_postgresql_refuses(stack: Standing, login: str) -> None:
    place = f"host=127.0.0.1 port={stack.ports['database-port']} dbname={LOGINS.get(login, 'refit')} user={login}"
    for said in ("", " password=wrong"):
        with pytest.raises(psycopg.OperationalError, match=r"no password supplied|password authentication failed"):
            psycopg.connect(place + said)
