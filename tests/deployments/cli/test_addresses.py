"""Addresses that commands show are those that people open: without the user and the password that they may hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from refit.errors import StateError
from refit_deployments import local_instance
from refit_deployments.local_instance import RunningInstance


def test_a_second_up_names_the_first_without_its_password(home: Path) -> None:
    home.mkdir()
    with local_instance.single_instance():
        local_instance.write_instance(RunningInstance(7, "http://ada:secret@127.0.0.1:4200/api", None))
        with pytest.raises(StateError, match=r"is already running at http://127\.0\.0\.1:4200 \(process 7\)"):
            local_instance.single_instance().__enter__()


def test_a_server_without_the_deployment_is_named_without_its_password(hours: Path, prefect_server: None) -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from refit_deployments.actions.retrain import start_deployment

    address = (PREFECT_API_URL.value() or "").removesuffix("/api")
    with (
        temporary_settings({PREFECT_API_URL: address.replace("//", "//ada:secret@") + "/api"}),
        pytest.raises(StateError, match=f"the server at {address}/api has no deployment retrain/hours"),
    ):
        start_deployment("hours", None, "a test", force=False)
