"""Where a training or a version comes from, as tags: the flow run that made it, and the code."""

from __future__ import annotations

from prefect.runtime import flow_run

from refit.project import Project
from refit.records.recipes import UNKNOWN
from refit_tasks.registry.provenance import CodeState
from refit_tasks.runs.links import run_page


def flow_run_tags() -> dict[str, str]:
    """Names the Prefect flow run that this is called in.

    Returns:
        Its id, and its page where one is known; nothing outside of a run.
    """
    if flow_run.id is None:
        return {}
    page = run_page(flow_run.id)
    return {"refit.flow_run_id": str(flow_run.id), **({"refit.flow_run_url": page} if page else {})}


def source_tags(definition: Project, code: CodeState) -> dict[str, str]:
    """Fills the columns of MLflow's own table of runs that say what code made a model.

    Args:
        definition: The project.
        code: Where its code stands.

    Returns:
        The project file's name and the commit, as far as they are known.
    """
    file = {"mlflow.source.name": definition.file.name, "mlflow.source.type": "LOCAL"} if definition.file else {}
    return {**file, **({"mlflow.source.git.commit": code.commit} if code.commit != UNKNOWN else {})}
