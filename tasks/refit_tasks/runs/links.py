"""Links to pages in the MLflow and Prefect UIs: versions, training runs and flow runs."""

from __future__ import annotations

from urllib.parse import quote
from uuid import UUID

from refit.records.references import Challenger, Champion
from refit_infra.settings import Settings, public_url
from refit_tasks.ledger.record import entry
from refit_tasks.presentation.markdown import artifact_key, plain


def version_url(project: str, version: int) -> str:
    """Builds the URL of a version in the MLflow UI.

    Args:
        project: The project's name.
        version: The version's number.

    Returns:
        The URL; empty if the address of the UI is not known.
    """
    pages = Settings().mlflow_pages
    return f"{pages}/#/models/{quote(project, safe='')}/versions/{version}" if pages else ""


def training_run_url(run_id: str) -> str:
    """Builds the URL of a training run in the MLflow UI.

    Args:
        run_id: MLflow's id of the run.

    Returns:
        The URL; empty if the address of the UI is not known.
    """
    pages = Settings().mlflow_pages
    return f"{pages}/#/runs/{quote(run_id, safe='')}" if pages else ""


def flow_run_url(run_id: str) -> str:
    """Builds the URL of a flow run in the Prefect UI.

    Args:
        run_id: Prefect's id of the flow run.

    Returns:
        The URL; empty if the address of the UI is not known.
    """
    from prefect.settings import PREFECT_UI_URL

    pages = public_url(PREFECT_UI_URL.value() or "")
    return f"{pages}/runs/flow-run/{quote(run_id, safe='')}" if pages else ""


def format_markdown_link(text: str, address: str) -> str:
    """Formats a link.

    Args:
        text: The link's text.
        address: The URL; empty for none.

    Returns:
        Markdown; the text alone if there is no URL.

    Example:
        >>> linked("version 3", "")
        'version 3'
    """
    return f"[{plain(text)}]({address})" if address else plain(text)


def format_model_links(model: Challenger | Champion) -> str:
    """Formats the links to a version and to its training run.

    Args:
        model: A registered version.

    Returns:
        One line of markdown.
    """
    project, run_id = model.model.project, model.model.run_id
    version = format_markdown_link(f"version {model.version} of {project}", version_url(project, model.version))
    return f"MLflow: {version}, {format_markdown_link(f'run {run_id}', training_run_url(run_id))}"


def find_deciding_run(decision: int | None) -> str | None:
    """Finds the monitor run that made a decision.

    Args:
        decision: The ledger entry of the decision; `None` if a person started the run.

    Returns:
        Prefect's id of the flow run; `None` if it is not on record.
    """
    made = entry(decision) if decision is not None else None
    turn = made.payload.get("turn") if made else None
    return turn if turn and _is_run(turn) else None


def _is_run(turn: str) -> bool:
    """Distinguishes the id of a flow run from the token of a retrain slot, which has no dashes."""
    try:
        return str(UUID(turn)) == turn
    except ValueError:
        return False


def publish_version_link(challenger: Challenger) -> None:
    """Publishes a link to a version in MLflow as an artifact of the current flow run.

    Args:
        challenger: The version.
    """
    project = challenger.model.project
    text = f"version {challenger.version} of {project} in MLflow"
    _publish(version_url(project, challenger.version), text, artifact_key(project, "mlflow"))


def publish_run_link(project: str, run_id: str, what: str) -> None:
    """Publishes a link to a flow run that the current one started, as an artifact.

    Args:
        project: The project's name.
        run_id: Prefect's id of that flow run.
        what: The flow's name.
    """
    _publish(flow_run_url(run_id), f"the {what} of {project} that was started", artifact_key(project, what))


def _publish(address: str, text: str, key: str) -> None:
    from prefect.artifacts import create_link_artifact

    if address:
        create_link_artifact(address, link_text=text, key=key, description=text)
