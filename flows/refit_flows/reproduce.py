"""The proof that a version can be rebuilt: it is fitted again from the record, and both models are compared."""

from __future__ import annotations

from prefect import flow

from refit.records.recipes import Reproduction
from refit_flows.parameters import ProjectName, VersionNumber
from refit_tasks.catalog import find_project
from refit_tasks.presentation.summaries import summarize_reproduction
from refit_tasks.runs.flow_runs import complete_with_message, fail_with_message
from refit_tasks.runs.liveness import run_lock
from refit_tasks.training.reproduce import publish_reproduction, reproduce_version


@flow(name="reproduce", flow_run_name="{project}: reproduce version {version}")
@fail_with_message
def reproduce(project: ProjectName, version: VersionNumber) -> Reproduction:
    """Rebuilds a registered version from the recorded rows, code, packages and seed, and compares what both say.

    Args:
        project: The project's name.
        version: The version's number.

    Returns:
        Whether they agree; where they do not, what is different from the record.

    Raises:
        RefitError: If the record has no such version, or what it needs is gone or was tampered with.
    """
    with run_lock("reproduce", project):
        found = reproduce_version(find_project(project), version)
        publish_reproduction(found)
    return complete_with_message(found, summarize_reproduction(found))
