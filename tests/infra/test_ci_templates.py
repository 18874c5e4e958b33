"""The templates for teams: sound by the schemas of their makers, and the step that they share does what it says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from refit_infra.ci.backtest_table import MARK, write_comment
from tests.support.infra_tools import INFRA, ROOT, passes
from tests.support.monitored_champion import HOSTILE, backtest

GITHUB = INFRA / "ci/github/refit.yml"
GITLAB = INFRA / "ci/gitlab/refit.gitlab-ci.yml"
JENKINS = INFRA / "ci/jenkins/Jenkinsfile"
RUNS_CODE = re.compile(r"checkout@|make |\.venv/|backtest_changed|git fetch")
"""What runs code of the repository, or brings it there."""
BROKEN = "raise RuntimeError('no such table')\n"


def test_github_understands_its_workflow() -> None:
    passes("check-jsonschema", "--builtin-schema", "vendor.github-workflows", GITHUB)


def test_actionlint_finds_nothing(tmp_path: Path) -> None:
    (tmp_path / ".github/workflows").mkdir(parents=True)
    shutil.copy(GITHUB, tmp_path / ".github/workflows")
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    passes("actionlint", cwd=tmp_path)


def test_gitlab_understands_its_pipeline() -> None:
    passes("check-jsonschema", "--builtin-schema", "vendor.gitlab-ci", "--data-transform", "gitlab-ci", GITLAB)


def read_jobs(file: Path) -> dict[str, dict[str, Any]]:
    """Reads the jobs of a template, with what they extend."""
    content: dict[str, Any] = yaml.safe_load(file.read_text())
    jobs = content.get("jobs", content)
    found = {name: job for name, job in jobs.items() if isinstance(job, dict) and {"script", "steps"} & job.keys()}
    extending = {name: job for name, job in jobs.items() if isinstance(job, dict) and "extends" in job}
    return {name: job for name, job in {**found, **extending}.items() if not name.startswith(".")}


def test_on_github_a_job_of_a_change_has_code_or_rights_and_never_both() -> None:
    for name, job in read_jobs(GITHUB).items():
        text = yaml.safe_dump(job)
        has_secrets = "secrets." in text or "github.token" in text or "write" in str(job.get("permissions", ""))
        has_secrets = has_secrets or "environment" in job
        of_main_alone = "refs/heads/main" in str(job.get("if", "")) or str(job.get("needs", "")).startswith("deploy-")
        assert of_main_alone == name.startswith("deploy-"), name
        assert not (has_secrets and RUNS_CODE.search(text)) or of_main_alone, name
    assert yaml.safe_load(GITHUB.read_text())["permissions"] == {"contents": "read"}


def test_on_gitlab_a_job_of_a_change_has_code_or_an_environment_and_never_both() -> None:
    content = yaml.safe_load(GITLAB.read_text())
    assert "make install" in str(content["default"]["before_script"])
    for name, job in read_jobs(GITLAB).items():
        whole = {**content.get(job.get("extends", ""), {}), **job}
        text = yaml.safe_dump(whole)
        of_main_alone = all("$CI_DEFAULT_BRANCH" in rule["if"] for rule in whole.get("rules", [])) and "rules" in whole
        runs_code = bool(RUNS_CODE.search(text)) or whole.get("before_script") != []
        assert runs_code or whole["variables"]["GIT_STRATEGY"] == "none", name
        assert of_main_alone == name.startswith("deploy-"), name
        assert not (runs_code and "environment" in whole) or of_main_alone, name
        assert "TOKEN" not in text or "environment" in whole, name


def test_on_jenkins_an_agent_of_a_change_gets_no_credentials() -> None:
    stages = re.split(r"\n    stage\(", JENKINS.read_text().partition("\nvoid deployTo")[0])[1:]
    assert len(stages) == 5
    for stage in stages:
        uses_credentials = "deployTo(" in stage or "withCredentials" in stage
        assert uses_credentials == ("label 'deploy'" in stage) == ("branch 'main'" in stage), stage
        assert uses_credentials != ("label 'python'" in stage), stage
    assert "agent none" in JENKINS.read_text()


def test_shellcheck_finds_nothing_in_any_script() -> None:
    scripts = [*sorted(INFRA.rglob("*.sh")), ROOT / ".ci/run"]
    assert len(scripts) == 4
    passes("shellcheck", *scripts)


def test_yamllint_finds_nothing() -> None:
    charts = INFRA / "helm/refit/templates"
    files = [file for ending in ("*.yml", "*.yaml") for file in INFRA.rglob(ending) if charts not in file.parents]
    rules = "{line-length: {max: 120}, document-start: disable, truthy: {check-keys: false}, indentation: disable,"
    passes(
        "yamllint", "--strict", "-d", f"{{extends: default, rules: {rules} braces: {{max-spaces-inside: 1}}}}}}", *files
    )


def test_a_comment_has_a_table_for_each_project() -> None:
    shown = write_comment([backtest().as_json(), {"error": "bikes has no rows", "kind": "NotEnoughData"}])
    assert shown.startswith(MARK)
    assert "| policy | loss | relative loss | regret | trainings | promotions |" in shown
    (never,) = (line for line in shown.splitlines() if line.startswith("| never |"))
    assert [cell.strip() for cell in never.split("|")[2:4]] == ["0.30875", "1"]
    assert "**Failed**: bikes has no rows" in shown
    assert "No project file was changed." in write_comment([])


def test_no_name_breaks_out_of_the_comment() -> None:
    shown = write_comment([backtest((HOSTILE,)).as_json()])
    (row,) = (line for line in shown.splitlines() if line.startswith("| a\\|b"))
    assert "<script>" not in shown.replace("\\<", "")
    assert len(row.replace("\\|", "").split("|")) == 8


@pytest.mark.slow
def test_the_changed_projects_are_backtested_and_a_fault_is_told(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        who = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        subprocess.run(["git", *who, *arguments], cwd=tmp_path, check=True, capture_output=True)

    (tmp_path / "projects").mkdir()
    (tmp_path / ".venv").symlink_to(Path(sys.executable).parents[1])
    (tmp_path / "projects/same.py").write_text(BROKEN)
    git("init", "--initial-branch=main")
    git("add", "projects")
    git("commit", "--message=one")
    git("checkout", "-b", "change")
    (tmp_path / "projects/bikes.py").write_text(BROKEN)
    (tmp_path / "projects/_shared.py").write_text("")
    git("add", "projects")
    git("commit", "--message=two")

    def run(base: str) -> int:
        command = [INFRA / "ci/backtest_changed.sh", base, "comment.md"]
        here = {**os.environ, "REFIT_PROJECTS": "projects"}
        return subprocess.run(command, cwd=tmp_path, env=here, check=False, capture_output=True).returncode

    assert run("main") == 1
    said = (tmp_path / "comment.md").read_text()
    assert said.count("**Failed**") == 1
    assert "bikes.py" in said.replace("\\", "")
    assert "no such table" in said
    assert run("HEAD") == 0
    assert "No project file was changed." in (tmp_path / "comment.md").read_text()
