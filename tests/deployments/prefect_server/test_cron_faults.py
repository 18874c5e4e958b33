"""A schedule that means nothing, or fires on no date, is told before it is deployed."""

from __future__ import annotations

import pandas as pd
import pytest
from sklearn.dummy import DummyClassifier

from refit import Project, Schedule
from refit.errors import BrokenProject
from refit_deployments.prefect_server.cron import find_cron_fault
from refit_deployments.prefect_server.plan import plan_deployments


@pytest.mark.parametrize("line", ["0 0 30 2 *", "0 0 31 2 *", "15 4 31 4,6,9,11 *"])
def test_a_line_that_no_date_fits_never_fires(line: str) -> None:
    assert find_cron_fault(line).startswith("never fires")
    project = Project(
        name="tides", kind="classification", target="y", timestamp="at", load=lambda _: pd.DataFrame(),
        build=DummyClassifier, schedule=Schedule(monitor=line),
    )  # fmt: skip
    with pytest.raises(BrokenProject, match="never fires"):
        plan_deployments(project, "pool")


@pytest.mark.parametrize("line", ["0 0 29 2 *", "0 0 31 * *", "@daily", "*/5 9-17 * * 1-5"])
def test_a_rare_line_fires(line: str) -> None:
    assert find_cron_fault(line) == ""


@pytest.mark.parametrize("line", ["61 * * * *", "0 0 * * MOO", "H 3 * * 1"])
def test_a_line_that_means_nothing_is_none(line: str) -> None:
    assert find_cron_fault(line).startswith("is not a cron line")
