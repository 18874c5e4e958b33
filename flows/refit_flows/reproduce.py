"""The reproduction flow: refits a version from its record and compares the two models."""

from __future__ import annotations

from prefect import flow

from refit.records.recipes import Reproduction
from refit_flows.parameters import ProjectName, VersionNumber
from refit_tasks.catalog import find_project
from refit_tasks.presentation.summaries import summarize_reproduction
from refit_tasks.runs.flow_runs import complete_with_message, fail_with_message
from refit_tasks.runs.liveness import run_lock
from refit_tasks.scratch import process_scratch
from refit_tasks.training.reproduce import publish_reproduction, reproduce_version


@flow(name="reproduce", flow_run_name="{project}: reproduce version {version}")
@fail_with_message
def reproduce(project: ProjectName, version: VersionNumber) -> Reproduction:
    """Rebuilds a registered version from the recorded rows, code, packages and seed, and compares the predictions.

    Args:
        project: The project's name.
        version: The version's number.

    Returns:
        Whether the predictions agree, and what differs from the record.

    Raises:
        RefitError: If the version is not on record, or its rows, code or model are missing or were changed.
    """
    with run_lock("reproduce", project), process_scratch(project):
        found = reproduce_version(find_project(project), version)
        publish_reproduction(found)
    return complete_with_message(found, summarize_reproduction(found))
