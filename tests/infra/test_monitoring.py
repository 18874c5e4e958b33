"""Alerts and dashboard: sound by Prometheus' own tool, about numbers that exist, each with a test and a runbook."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from refit_serving.metrics.ledger_metrics import LedgerCollector
from refit_serving.metrics.server_metrics import Metrics
from tests.support.infra_tools import INFRA, ROOT, passes, read

RULES: list[dict[str, Any]] = [
    rule for group in read("prometheus/rules/refit.yml")["groups"] for rule in group["rules"]
]
DASHBOARD = json.loads((INFRA / "grafana/dashboards/refit.json").read_text())
RUNBOOK = (ROOT / "docs/runbook.md").read_text()


def test_prometheus_understands_the_rules() -> None:
    passes("promtool", "check", "rules", "--lint=all", "--lint-fatal", INFRA / "prometheus/rules/refit.yml")


def test_prometheus_understands_its_configuration() -> None:
    # By its syntax: the key's file is in the container alone.
    passes("promtool", "check", "config", "--syntax-only", INFRA / "prometheus/prometheus.yml")


def test_every_alert_fires_when_it_should_and_none_when_all_is_well() -> None:
    passes("promtool", "test", "rules", INFRA / "prometheus/rules_test.yml")
    quiet, *troubles = read("prometheus/rules_test.yml")["tests"]
    names = {rule["alert"] for rule in RULES}
    assert {one["alertname"] for one in quiet["alert_rule_test"]} == names
    firing = [one for trouble in troubles for one in trouble["alert_rule_test"]]
    assert {one["alertname"] for one in firing if one["exp_alerts"]} == names


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_says_what_to_do(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in ("critical", "warning")
    page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    assert (ROOT / page).is_file()
    assert anchor == rule["alert"].lower()
    (section,) = re.findall(rf"^## {rule['alert']}\n(.*?)(?=^## |\Z)", RUNBOOK, re.MULTILINE | re.DOTALL)
    assert section.strip()


def test_the_runbook_has_no_section_for_an_alert_that_is_gone() -> None:
    assert set(re.findall(r"^## (Refit\w+)$", RUNBOOK, re.MULTILINE)) == {rule["alert"] for rule in RULES}


@pytest.fixture
def told(home: object) -> set[str]:
    """The names of all numbers that Refit tells, as Prometheus has them."""
    registry = CollectorRegistry()
    registry.register(LedgerCollector())
    page = (generate_latest(registry) + Metrics().render()).decode()
    kinds = dict(re.findall(r"^# TYPE (\S+) (\w+)$", page, re.MULTILINE))
    return {name + "_bucket" if kind == "histogram" else name for name, kind in kinds.items()}


def test_alerts_and_dashboard_ask_for_numbers_that_exist(told: set[str]) -> None:
    asked = [rule["expr"] for rule in RULES]
    asked += [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", [])]
    names = {name for expression in asked for name in re.findall(r"\brefit_\w+", expression)}
    assert len(names) > 20
    assert names <= told


def test_the_dashboard_reads_the_provisioned_source() -> None:
    (source,) = read("grafana/provisioning/datasources/prometheus.yaml")["datasources"]
    panels = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
    assert {panel["datasource"]["uid"] for panel in panels} == {source["uid"]}
    assert all(panel["description"] for panel in panels)
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
