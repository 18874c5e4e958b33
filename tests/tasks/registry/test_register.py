from dataclasses import replace
from datetime import UTC, datetime

import pytest

from refit import Project
from refit.gate.evaluations import Judgement
from refit.records.ledger import as_payload, from_payload
from refit.records.references import Champion
from refit_tasks.ledger.record import entries, entry
from refit_tasks.promotion.promote import promote
from refit_tasks.registry.mlflow_client import open_mlflow
from refit_tasks.registry.recipe import read_recipe
from refit_tasks.registry.register import find_verdict, is_settled, lost_promotion_race, register
from tests.support.registered_models import with_runs

AT = datetime(2026, 3, 2, tzinfo=UTC)

REGISTER = """
import signal
from datetime import UTC, datetime
from refit import Project
from refit.gate.evaluations import Judgement
from refit_tasks.registry import register
if killed_before:
    setattr(register, killed_before, lambda *arguments, **names: os.kill(os.getpid(), signal.SIGKILL))
rentals = Project(name="rentals", kind="regression", target="rentals", timestamp="observed_at", load=list, build=list)
model, comparison, verdict, ingestion = evidence[number]
judgement = Judgement(model, comparison, rentals.gate, verdict, None, ingestion)
challenger = register.register.fn(rentals, judgement, datetime(2026, 3, 2, tzinfo=UTC))
results.put(challenger)
"""


@pytest.fixture
def evidence(evidence, mlflow_home):
    """The same, of models whose runs MLflow knows."""
    return with_runs(evidence)


def versions() -> list[int]:
    return sorted(int(version.version) for version in open_mlflow().search_model_versions("name = 'rentals'"))


def test_a_judged_model_becomes_a_version_with_its_verdict(judge, rentals: Project) -> None:
    challenger = judge()
    client = open_mlflow()
    version = client.get_model_version_by_alias("rentals", "challenger")
    assert int(version.version) == challenger.version == 1
    assert version.run_id == challenger.model.run_id
    assert version.source == challenger.model.uri
    assert version.description.startswith("## rentals: promote as the first champion")
    assert version.tags == {
        "refit.verdict": "fit",
        "refit.failed": "none",
        "refit.metric": "neg_mean_absolute_error",
        "refit.value": "-1.3",
        "refit.over": "none",
        "refit.reason": "manual",
        "refit.run_key": "key",
        "refit.fingerprint": "f" * 32,
        "refit.table_version": "3",
        "refit.trained_from": "2026-01-01T00:00:00+00:00",
        "refit.trained_until": "2026-02-01T00:00:00+00:00",
        "refit.entry": str(challenger.verdict_id),
        "refit.ledger_head": f"{challenger.verdict_id}:{entry(challenger.verdict_id).hash}",
        "refit.serving_form": "scikit-learn",
    }
    assert find_verdict(rentals, "key") == challenger
    assert find_verdict(rentals, "other") is None


def test_the_ledger_keeps_all_that_a_verdict_rests_on(judge, rentals: Project, evidence) -> None:
    first = promote.fn(judge("a"), None, AT)
    challenger = judge("b", over=first)
    payload = entry(challenger.verdict_id).payload
    model, comparison, verdict, ingestion = evidence("b")
    assert as_payload(from_payload(Judgement, payload)) == as_payload(
        Judgement(model, comparison, rentals.gate, verdict, first, ingestion, recipe=read_recipe(model))
    )
    assert (payload["version"], payload["promote"]) == (2, True)
    assert payload["comparison"]["challenger"]["blocks"] == [-1.25, "NaN", -1.5]


def test_registering_again_gives_the_verdict_on_record(judge) -> None:
    challenger = judge()
    assert judge() == challenger
    assert judge(promote=False) == challenger
    assert versions() == [1]
    assert len(entries()) == 1


@pytest.mark.parametrize("step", ["find_version", "create_version", "append", "set_alias"])
def test_a_kill_at_any_step_is_completed_by_the_next_run(judge, race, evidence, rentals: Project, step: str) -> None:
    race(REGISTER, 1, killed=True, evidence=[evidence()], killed_before=step)
    challenger = judge()
    assert versions() == [1]
    assert find_verdict(rentals, "key") == challenger
    assert len(entries()) == 1
    assert int(open_mlflow().get_model_version_by_alias("rentals", "challenger").version) == 1


def test_processes_that_trained_the_same_run_key_agree_on_one_version(mlflow_home, race, evidence) -> None:
    model, *rest = evidence()
    twins = [(replace(model, run_id=evidence(f"{number}")[0].run_id), *rest) for number in range(6)]
    challengers = race(REGISTER, 6, evidence=twins, killed_before=None)
    assert len({challenger.version for challenger in challengers}) == 1
    assert len({challenger.model for challenger in challengers}) == 1
    assert versions() == [challengers[0].version]
    version = open_mlflow().get_model_version("rentals", str(versions()[0]))
    assert version.run_id == challengers[0].model.run_id


def test_a_verdict_is_settled_once_nothing_is_left_to_do(judge) -> None:
    assert is_settled(judge("rejected", promote=False))
    open_one, rival = judge("open"), judge("rival")
    assert not is_settled(open_one)
    first = promote.fn(open_one, None, AT)
    assert is_settled(open_one)
    assert is_settled(rival)
    assert not is_settled(judge("next", over=first))
    assert [lost_promotion_race(each) for each in (open_one, rival, judge("rejected", promote=False))] == [
        False,
        True,
        False,
    ]


def test_a_long_report_fits_the_database(rentals: Project, evidence, mlflow_home) -> None:
    model, comparison, verdict, ingestion = evidence()
    talkative = replace(ingestion, warnings=("warning " * 100,) * 50)
    register.fn(rentals, Judgement(model, comparison, rentals.gate, verdict, None, talkative), AT)
    assert len(open_mlflow().get_model_version("rentals", "1").description) == 5_000


def test_the_model_that_was_fitted_again_is_what_becomes_a_version_and_champion(rentals, evidence, mlflow_home) -> None:
    model, *rest = evidence()
    served = replace(model, run_id=evidence("served")[0].run_id, uri="file:///models/served", run_key="key-served")
    judgement = Judgement(model, rest[0], rentals.gate, rest[1], None, rest[2], served=served)
    challenger = register.fn(rentals, judgement, AT)
    assert (challenger.model, challenger.judged) == (served, model)
    assert register.fn(rentals, judgement, AT) == challenger == find_verdict(rentals, "key")
    version = open_mlflow().get_model_version("rentals", "1")
    assert (version.run_id, version.source) == (served.run_id, "file:///models/served")
    champion = promote.fn(challenger, None, AT)
    assert (champion.model, champion.judged) == (served, model)


def test_a_verdict_from_before_there_was_a_second_fit_is_still_read(judge) -> None:
    payload = entry(judge().verdict_id).payload
    old = {name: value for name, value in payload.items() if name not in ("served", "bound")}
    old["comparison"] = {name: value for name, value in old["comparison"].items() if name != "stand_in"}
    judgement = from_payload(Judgement, old)
    assert (judgement.served, judgement.serving, judgement.comparison.stand_in) == (None, judgement.model, False)
    champion = as_payload(Champion(judgement.model, 1, 1, AT))
    del champion["judged"]
    assert from_payload(Champion, champion).judged is None
