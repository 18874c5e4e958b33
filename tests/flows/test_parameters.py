"""What Prefect's form and API let in, and what a call does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prefect.exceptions import ParameterTypeError
from prefect.utilities.callables import parameter_schema
from prefect.utilities.schema_tools import validate
from prefect.utilities.schema_tools.validation import ValidationError

from refit.errors import UnusableTime
from refit.project import Project
from refit_deployments.output import describe_failure


def flows() -> list[Any]:
    from refit_flows.approve import approve
    from refit_flows.backtest import backtest
    from refit_flows.monitor import monitor
    from refit_flows.reproduce import reproduce
    from refit_flows.retrain import retrain
    from refit_flows.rollback import rollback
    from refit_flows.score import score

    return [approve, backtest, monitor, reproduce, retrain, rollback, score]


def test_every_field_is_described_and_there_are_six_at_most() -> None:
    for flow in flows():
        form = parameter_schema(flow).model_dump()
        assert len(form["properties"]) <= 6, flow.name
        for name, field in form["properties"].items():
            assert field.get("description"), f"{flow.name} does not say what {name} is"
        assert "project" in form["required"]


def test_the_form_takes_the_names_that_a_project_file_may_give() -> None:
    from refit_flows.retrain import retrain

    pattern = parameter_schema(retrain).properties["project"]["pattern"]
    assert pattern == Project.model_fields["name"].metadata[0].pattern


@pytest.mark.parametrize(
    "bad",
    [
        {"project": "../parcels"},
        {"reason": "far " * 100},
        {"reason": ""},
        {"decision": 0},
        {"force": "perhaps"},
        {"as_of": 12},
    ],
)
def test_bad_input_is_refused_by_the_form_and_by_a_call(bad: dict[str, Any], prefect_server: None) -> None:
    from refit_flows.retrain import retrain

    form = parameter_schema(retrain).model_dump(exclude_unset=True)
    validate({"project": "parcels", "as_of": datetime.now(UTC).isoformat(), "reason": "why", "decision": 1}, form)
    with pytest.raises(ValidationError):
        validate({"project": "parcels", **bad}, form, raise_on_error=True)
    if bad != {"as_of": 12}:  # a number of seconds is an instant where it is not a form that asks
        with pytest.raises(ParameterTypeError) as refused:
            retrain(**{"project": "parcels", **bad})
        told = describe_failure(refused.value)
        assert told.startswith(f"a parameter is not valid: {next(iter(bad))}: ")
        assert "\n" not in told


@pytest.mark.slow
@pytest.mark.parametrize("flow", [2, 4])
def test_a_time_that_has_not_come_is_refused_in_a_sentence(flow: int, prefect_server: None) -> None:
    with pytest.raises(UnusableTime, match="is in the future"):
        flows()[flow]("parcels", as_of=datetime.now(UTC) + timedelta(days=1))
    with pytest.raises(UnusableTime, match="no time zone"):
        flows()[flow]("parcels", as_of=datetime(2026, 1, 1))  # noqa: DTZ001
