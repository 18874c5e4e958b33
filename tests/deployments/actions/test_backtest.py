"""`refit backtest`: what it answers, where the picture goes, and what it refuses before minutes of work."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from PIL import Image

from refit.errors import NotEnoughData, ProjectError, StateError
from tests.support.forked_commands import refit


def test_it_answers_in_numbers_words_and_a_picture(
    hours: Path, home: Path, tmp_path: Path, prefect_server: None
) -> None:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

    from refit_deployments.actions.simulate import run_backtest

    (tmp_path / "weekly.json").write_text('{"probe": null, "schedule": "P7D"}')
    picture = tmp_path / "backtest.png"
    names = ["every_window", str(tmp_path / "weekly.json")]
    answer = run_backtest("hours", names, 6, datetime(2026, 2, 10, tzinfo=UTC), picture)

    facts = json.loads(json.dumps(answer.facts, allow_nan=False))
    assert {"project", "policies", "windows"} <= set(facts)
    assert (facts["project"], facts["windows"], facts["rows"]) == ("hours", 6, 960)
    assert set(facts["policies"]) == {"never", "every_window", "weekly"}
    for policy in facts["policies"].values():
        assert {"loss", "relative_loss", "trainings", "promotions", "regret", "interval", "losses"} <= set(policy)
        assert policy["promotions"] <= policy["trainings"]
        assert policy["regret"] >= 0
    assert facts["policies"]["never"]["relative_loss"] == 1
    assert (facts["policies"]["never"]["trainings"], facts["policies"]["every_window"]["trainings"]) == (0, 3)

    with Image.open(picture) as drawn:
        assert drawn.format == "PNG"
    assert facts["picture"] == str(picture)
    told = "\n".join(answer.lines)
    assert "mean absolute error" in told
    assert "the first champion keeps serving" in told
    with get_client(sync_client=True) as client:
        chosen = ArtifactFilter(key=ArtifactFilterKey(any_=["hours-backtest"]))
        assert len(client.read_artifacts(artifact_filter=chosen)) == 1
    assert not (home / "ledger.db").exists()
    assert not (home / "mlflow.db").exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "never, every_window"),
        ('{"probe": ', "does not hold a policy"),
        ("[1]", "does not hold a policy"),
        ('{"probs": null}', "probs"),
        ('{"probe": {"gain": -3}}', "probe.gain"),
    ],
    ids=["no file", "broken", "a list", "an unknown field", "a wrong value"],
)
def test_what_is_no_policy_is_refused_at_once(hours: Path, tmp_path: Path, content: str | None, said: str) -> None:
    from refit_deployments.actions.simulate import run_backtest

    file = tmp_path / "policy.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ProjectError, match=said) as fault:
        run_backtest("hours", [str(file)], 8, None)
    assert str(file) in str(fault.value)


def test_a_picture_that_could_not_be_written_is_refused_at_once(hours: Path, tmp_path: Path) -> None:
    from refit_deployments.actions.simulate import run_backtest

    for place in (tmp_path, tmp_path / "nowhere" / "picture.png"):
        with pytest.raises(StateError, match=r"cannot be written .*--picture"):
            run_backtest("hours", [], 8, None, place)


@pytest.mark.slow
def test_too_short_a_history_is_one_sentence(hours: Path, prefect_server: None) -> None:
    from refit_deployments.actions.simulate import run_backtest

    for windows, until in ((500, None), (4, datetime(2026, 1, 3, tzinfo=UTC))):
        with pytest.raises(NotEnoughData, match="fewer windows"):
            run_backtest("hours", ["never"], windows, until)
    with pytest.raises(NotEnoughData, match="no rows before"):
        run_backtest("hours", ["never"], 8, datetime(2025, 1, 1, tzinfo=UTC))


def test_the_command_refuses_in_one_object_and_wrong_usage_by_its_code(hours: Path) -> None:
    run = refit("backtest", "hours", "--policy", "sometimes", "--json")
    assert (run.returncode, json.loads(run.stdout)["kind"]) == (1, "ProjectError")
    assert "Traceback" not in run.stderr
    assert refit("backtest", "hours", "--windows", "3").returncode == 2
