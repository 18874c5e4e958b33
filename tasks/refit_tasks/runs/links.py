"""Addresses of the pages that belong to a run: a version and a run in MLflow, and another run in Prefect."""

from __future__ import annotations

from urllib.parse import quote
from uuid import UUID

from refit.records.references import Challenger, Champion
from refit_infra.settings import Settings, public_url
from refit_tasks.ledger.record import entry
from refit_tasks.presentation.markdown import artifact_key, plain


def version_url(project: str, version: int) -> str:
    """Gives the address of a version in MLflow.

    Args:
        project: The project's name.
        version: The version's number.

    Returns:
        The address; empty where MLflow's pages have none that is known.
    """
    pages = Settings().mlflow_pages
    return f"{pages}/#/models/{quote(project, safe='')}/versions/{version}" if pages else ""


def training_run_url(run_id: str) -> str:
    """Gives the address of a run in MLflow.

    Args:
        run_id: MLflow's id of the run.

    Returns:
        The address; empty where MLflow's pages have none that is known.
    """
    pages = Settings().mlflow_pages
    return f"{pages}/#/runs/{quote(run_id, safe='')}" if pages else ""


def flow_run_url(run_id: str) -> str:
    """Gives the address of a flow run in Prefect.

    Args:
        run_id: Prefect's id of the flow run.

    Returns:
        The address; empty where no server with pages is known.
    """
    from prefect.settings import PREFECT_UI_URL

    pages = public_url(PREFECT_UI_URL.value() or "")
    return f"{pages}/runs/flow-run/{quote(run_id, safe='')}" if pages else ""


def format_markdown_link(text: str, address: str) -> str:
    """Writes a link.

    Args:
        text: What is read.
        address: Of a page, from this module; empty where it has none.

    Returns:
        Markdown; the text alone without an address.

    Example:
        >>> linked("version 3", "")
        'version 3'
    """
    return f"[{plain(text)}]({address})" if address else plain(text)


def format_model_links(model: Challenger | Champion) -> str:
    """Writes the links to a version and to the run that trained it.

    Args:
        model: A registered version.

    Returns:
        One line of markdown.
    """
    project, run_id = model.model.project, model.model.run_id
    version = format_markdown_link(f"version {model.version} of {project}", version_url(project, model.version))
    return f"MLflow: {version}, {format_markdown_link(f'run {run_id}', training_run_url(run_id))}"


def find_deciding_run(decision: int | None) -> str | None:
    """Finds the monitor's run that made a decision.

    Args:
        decision: The ledger entry of the decision; `None` where a person started the run.

    Returns:
        Prefect's id of that flow run; `None` where it is not on record.
    """
    made = entry(decision) if decision is not None else None
    turn = made.payload.get("turn") if made else None
    return turn if turn and _is_run(turn) else None


def _is_run(turn: str) -> bool:
    """Tells the id of a run from the name of a turn, which is written without dashes."""
    try:
        return str(UUID(turn)) == turn
    except ValueError:
        return False


def publish_version_link(challenger: Challenger) -> None:
    """Shows, on the page of the flow run that this is called in, where the version is in MLflow.

    Args:
        challenger: The version.
    """
    project = challenger.model.project
    said = f"version {challenger.version} of {project} in MLflow"
    _publish(version_url(project, challenger.version), said, artifact_key(project, "mlflow"))


def publish_run_link(project: str, run_id: str, what: str) -> None:
    """Shows, on the page of the flow run that this is called in, which other run it has started.

    Args:
        project: The project's name.
        run_id: Prefect's id of that flow run.
        what: The flow's name.
    """
    _publish(flow_run_url(run_id), f"the {what} of {project} that was started", artifact_key(project, what))


def _publish(address: str, said: str, key: str) -> None:
    from prefect.artifacts import create_link_artifact

    if address:
        create_link_artifact(address, link_text=said, key=key, description=said)
