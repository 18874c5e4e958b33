"""Which policies a backtest compares: presets, the project's own, and files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from refit import MonitoringPolicy, Project
from refit.backtest.policies import PRESETS
from refit.errors import ProjectError
from refit_tasks.simulation.backtest import DEFAULT_POLICIES, choose_presets


def test_the_usual_ones_and_the_projects_own_where_it_has_one(rentals: Project) -> None:
    assert tuple(choose_presets(rentals, [])) == DEFAULT_POLICIES
    changed = rentals.model_copy(update={"monitoring": MonitoringPolicy(new_rows=100)})
    assert tuple(choose_presets(changed, [])) == (*DEFAULT_POLICIES, "project")
    assert choose_presets(changed, ["project"])["project"].monitoring.new_rows == 100


def test_a_file_is_a_policy_under_its_own_name(rentals: Project, tmp_path: Path) -> None:
    file = tmp_path / "eager.json"
    file.write_text(json.dumps({"new_rows": 50, "drift": None}))
    chosen = choose_presets(rentals, ["never", str(file)])
    assert tuple(chosen) == ("never", "eager")
    assert chosen["never"] == PRESETS["never"]
    assert chosen["eager"].monitoring == MonitoringPolicy(new_rows=50, drift=None)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("{", "Expecting"),
        ("[]", "the whole: Input should be a valid dictionary"),
        ('{"new_row": 1}', "new_row: Extra inputs are not permitted"),
        ('{"budget": {"retrains": -1}}', "budget.retrains: Input should be greater than or equal to 0"),
    ],
)
def test_a_file_that_is_no_policy_is_refused_by_the_place_in_it(
    content: str, why: str, rentals: Project, tmp_path: Path
) -> None:
    file = tmp_path / "mine.json"
    file.write_text(content)
    with pytest.raises(ProjectError, match=why) as refused:
        choose_presets(rentals, [str(file)])
    assert "\n" not in str(refused.value)


def test_no_two_policies_have_one_name(rentals: Project, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    files = [tmp_path / "never.json", tmp_path / "mine.json", tmp_path / "other" / "mine.json"]
    for file in files:
        file.write_text("{}")
    for wanted in (files[:1], files[1:]):
        with pytest.raises(ProjectError, match="give each file a name of its own"):
            choose_presets(rentals, [str(file) for file in wanted])
    with pytest.raises(ProjectError, match="use one of never, every_window"):
        choose_presets(rentals, ["sometimes"])
