"""`refit doctor` and `refit prune`: what keeping order found and did, a line for each thing."""

from __future__ import annotations

from dataclasses import asdict

from refit.results.upkeep import Finding
from refit_deployments.output import Answer
from refit_tasks.maintenance.doctor import mend


def doctor_here(project: str | None, *, dry_run: bool) -> Answer:
    """Finds what a crash has left, and repairs it.

    Args:
        project: Only this project; all, if `None`.
        dry_run: Whether to find only.

    Returns:
        What was found and done.
    """
    findings = mend(project, dry_run=dry_run)
    whose = f" of {project}" if project else ""
    return answer_of(findings, project, dry_run, f"the store{whose} is healthy: a crash has left nothing")


def answer_of(findings: list[Finding], project: str | None, dry_run: bool, nothing: str) -> Answer:
    """Words findings.

    Args:
        findings: What was found.
        project: The project that was looked at; all, if `None`.
        dry_run: Whether nothing was changed.
        nothing: What to say where nothing was found.

    Returns:
        The same for programs and for people.
    """
    facts = {"project": project, "dry_run": dry_run, "findings": [asdict(finding) for finding in findings]}
    lines = [finding.sentence for finding in findings] or [nothing]
    if dry_run and findings:
        lines.append("nothing was changed: this was a dry run")
    return Answer(facts, lines)
