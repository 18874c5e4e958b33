"""Runs and their artifacts, as the session's Prefect server knows them."""

from __future__ import annotations

from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from prefect.client.schemas.objects import Artifact, FlowRun
from prefect.client.schemas.sorting import FlowRunSort


def run_of(run_id: str) -> FlowRun:
    """Reads a run."""
    with get_client(sync_client=True) as client:
        return client.read_flow_run(UUID(run_id))


def newest_runs(count: int) -> list[FlowRun]:
    """Reads the runs that began last, the newest first."""
    with get_client(sync_client=True) as client:
        return client.read_flow_runs(sort=FlowRunSort.START_TIME_DESC, limit=count)


def page_of(run: FlowRun) -> dict[str, Artifact]:
    """The artifacts that the run's own page lists, by key."""
    chosen = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run.id]))
    with get_client(sync_client=True) as client:
        return {str(found.key): found for found in client.read_artifacts(artifact_filter=chosen)}
