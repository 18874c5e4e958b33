"""The chart, rendered by Helm's own engine and held against Kubernetes' own schemas; and the values for Prefect's."""

from __future__ import annotations

import json
import re
from copy import deepcopy
from importlib.metadata import version
from typing import Any

import pytest
import yaml

from tests.support.infra_tools import INFRA, read

helm = pytest.importorskip("helm_python", reason="there is no Helm engine: `make infra-tools` brings it")
kubernetes_validate = pytest.importorskip("kubernetes_validate")

CHART = str(INFRA / "helm/refit")
KUBERNETES = ("1.29", "1.34")
"""The oldest that the chart asks for, and a new one."""
TWO = {"serve": {"services": [{"name": "bikes", "projects": ["bikes"]}, {"name": "rest", "projects": ["a", "b"]}]}}


def rendered(values: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    with helm.Chart.load(CHART) as chart:
        chart.validate_schema(values or {})
        files = chart.render(values or {}, name="refit", namespace="models")
    texts = [text for name, text in files.items() if not name.endswith("NOTES.txt")]
    return [document for text in texts for document in yaml.safe_load_all(text) if document]


def pods(documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [one["spec"]["template"]["spec"] for one in documents if one["kind"] in ("Deployment", "Job")]


@pytest.fixture(scope="module")
def documents() -> list[dict[str, Any]]:
    return rendered(TWO)


@pytest.fixture(scope="module")
def flow_run(configuration: dict[str, Any]) -> dict[str, Any]:
    """The Job of a flow run."""
    manifest = deepcopy(configuration["job_manifest"])
    pod = manifest["spec"]["template"]["spec"]
    # Prefect refuses a template without them, and Kubernetes knows them a level higher.
    assert (pod.pop("parallelism"), pod.pop("completions")) == (1, 1)
    return manifest


@pytest.fixture(scope="module")
def configuration(documents: list[dict[str, Any]]) -> dict[str, Any]:
    """What Prefect makes of the base job template and its defaults."""
    (data,) = (one["data"] for one in documents if one["metadata"]["name"] == "refit-job-template")
    template = json.loads(data["baseJobTemplate.json"])
    known = {name: one.get("default") for name, one in template["variables"]["properties"].items()}
    known |= {"name": "retrain", "command": ["prefect", "flow-run", "execute"], "labels": {"a": "b"}, "env": []}
    asked = set(re.findall(r"\{\{ (\w+) \}\}", json.dumps(template["job_configuration"])))
    assert asked == set(known)

    def filled(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: filled(one) for key, one in value.items()}
        if isinstance(value, list):
            return [filled(one) for one in value]
        whole = re.fullmatch(r"\{\{ (\w+) \}\}", value) if isinstance(value, str) else None
        if whole:
            return known[whole.group(1)]
        return re.sub(r"\{\{ (\w+) \}\}", lambda m: known[m.group(1)], value) if isinstance(value, str) else value

    return filled(template["job_configuration"])


def test_helm_lints_it() -> None:
    found = helm.lint(CHART)
    assert found["errors"] == []
    assert [one for one in found["messages"] if "icon" not in str(one)] == []


@pytest.mark.parametrize("release", KUBERNETES)
def test_kubernetes_understands_it(release: str, documents: list[dict[str, Any]], flow_run: dict[str, Any]) -> None:
    kinds = [document["kind"] for document in documents]
    assert kinds.count("HorizontalPodAutoscaler") == kinds.count("PodDisruptionBudget") == kinds.count("Service") == 2
    for document in (*documents, flow_run):
        kubernetes_validate.validate(document, release, strict=True)


def test_prefects_worker_understands_the_template(configuration: dict[str, Any]) -> None:
    worker = pytest.importorskip("prefect_kubernetes.worker", reason="`make infra-tools` brings Prefect's worker")
    # Prefect has command and environment in its own form beside the Job's.
    given = {**configuration, "command": "prefect flow-run execute", "env": {}}
    made = worker.KubernetesWorkerJobConfiguration(**given)
    (container,) = made.job_manifest["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "registry.example/refit:0.1.0"


def test_every_pod_is_hardened(documents: list[dict[str, Any]], flow_run: dict[str, Any]) -> None:
    found = pods([*documents, flow_run])
    assert len(found) == 5  # two services, metrics, deploy, a flow run
    for pod in found:
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        for container in pod["containers"]:
            context = container["securityContext"]
            assert (context["readOnlyRootFilesystem"], context["allowPrivilegeEscalation"]) == (True, False)
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert {"requests", "limits"} <= set(container["resources"])


def test_a_pod_has_the_secrets_that_it_names_and_no_others(documents: list[dict[str, Any]]) -> None:
    for pod in pods(documents):
        (mounted,) = (volume["secret"]["items"] for volume in pod["volumes"] if "secret" in volume)
        (container,) = pod["containers"]
        named = {one["value"].rpartition("/")[2] for one in container["env"] if one["name"].endswith("_FILE")}
        assert named == {item["key"] for item in mounted}


def test_what_only_reads_the_ledger_has_the_login_that_may_only_read(documents: list[dict[str, Any]]) -> None:
    readers = [one for one in documents if one["metadata"]["labels"].get("app.kubernetes.io/component") == "metrics"]
    readers += [one for one in documents if one["metadata"]["labels"].get("app.kubernetes.io/component") == "serve"]
    found = [pod for pod in pods(readers) if pod["volumes"]]
    assert len(found) >= 2
    for pod in found:
        (mounted,) = (volume["secret"]["items"] for volume in pod["volumes"] if "secret" in volume)
        keys = {item["key"] for item in mounted}
        assert "refit_reader_url" in keys
        assert not {"refit_database_url", "prefect_auth"} & keys


def test_network_policies_choose_every_pod(documents: list[dict[str, Any]], flow_run: dict[str, Any]) -> None:
    policies = [one["spec"] for one in documents if one["kind"] == "NetworkPolicy"]
    closed = next(one for one in policies if set(one["policyTypes"]) == {"Ingress", "Egress"})
    chosen = closed["podSelector"]["matchLabels"].items()
    workloads = [one for one in (*documents, flow_run) if one["kind"] in ("Deployment", "Job")]
    for workload in workloads:
        assert chosen <= workload["spec"]["template"]["metadata"]["labels"].items()
    assert "ingress" not in closed


@pytest.mark.parametrize(
    "wrong",
    [
        {"image": {"repository": "refit", "tag": "latest"}},
        {"settings": {"REFIT_DATABASE_URL": "postgresql://refit:secret@db/refit"}},
        {"settings": {"MLFLOW_TRACKING_PASSWORD": "secret"}},
        {"serve": {"services": [{"name": "Bikes", "projects": ["bikes"]}]}},
        {"replicas": 2},
    ],
    ids=str,
)
def test_values_that_would_do_harm_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(helm.HelmError):
        rendered(wrong)


def test_prefects_charts_run_the_version_that_is_locked() -> None:
    prefect = version("prefect")
    server, worker = (read(f"helm/values/prefect-{part}.yaml") for part in ("server", "worker"))
    assert server["global"]["prefect"]["image"]["prefectTag"] == f"{prefect}-python3.12"
    assert worker["worker"]["image"]["prefectTag"] == f"{prefect}-python3.12-kubernetes"
    values = read("helm/refit/values.yaml")
    assert worker["worker"]["config"]["workPool"] == values["flows"]["pool"]
    api = worker["worker"]["selfHostedServerApiConfig"]["apiUrl"]
    assert api == values["settings"]["PREFECT_API_URL"]
