"""Tags for the source of a run or version: the Prefect flow run that made it, and the code."""

from __future__ import annotations

from prefect.runtime import flow_run

from refit.project import Project
from refit.records.recipes import UNKNOWN
from refit_tasks.registry.provenance import CodeState
from refit_tasks.runs.links import flow_run_url


def flow_run_tags() -> dict[str, str]:
    """Makes the tags of the current Prefect flow run.

    Returns:
        Its id, and the URL of its page if that is known; empty outside a run.
    """
    if flow_run.id is None:
        return {}
    page = flow_run_url(flow_run.id)
    return {"refit.flow_run_id": str(flow_run.id), **({"refit.flow_run_url": page} if page else {})}


def source_tags(definition: Project, code: CodeState) -> dict[str, str]:
    """Makes the tags of the source columns in MLflow's table of runs.

    Args:
        definition: The project.
        code: The state of its code.

    Returns:
        The name of the project file and the commit, as far as they are known.
    """
    file = {"mlflow.source.name": definition.file.name, "mlflow.source.type": "LOCAL"} if definition.file else {}
    return {**file, **({"mlflow.source.git.commit": code.commit} if code.commit != UNKNOWN else {})}
