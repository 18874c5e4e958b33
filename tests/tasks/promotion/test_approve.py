"""A person's word: asked for by policy, recorded once with who and why, and passed through the fence."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from prefect.client.orchestration import get_client

from refit import GatePolicy, Project, Window
from refit.errors import NotApproved, StaleChampion
from refit.monitoring.decide import RetrainRecord
from refit.monitoring.evidence import Evidence, RetrainRequest
from refit.records.references import Challenger
from refit_deployments.actions.retrain import approve_version
from refit_tasks.catalog import find_project
from refit_tasks.decision.decide import decide_and_record, record_outcome
from refit_tasks.ledger.generations import current_champion
from refit_tasks.ledger.record import entries, latest, verify_ledger
from refit_tasks.promotion.approve import ask_for_approval, find_retrain_requester, record_approval
from refit_tasks.promotion.promote import promote
from refit_tasks.registry.challengers import find_pending
from refit_tasks.registry.register import is_settled, lost_promotion_race
from refit_tasks.reporting.entry_story import describe_entry
from refit_tasks.runs.identity import current_user, find_run_requester

AT = datetime(2026, 3, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def rentals(rentals: Project) -> Project:
    return rentals.model_copy(update={"gate": GatePolicy(promotion="approve", four_eyes=True)})


def test_nothing_is_promoted_before_a_person_says_so(judge) -> None:
    challenger = judge()
    with pytest.raises(NotApproved, match=r"waits for approval: approve it with `refit approve rentals 1`"):
        promote.fn(challenger, None, AT)
    assert [one.version for one in find_pending("rentals")] == [1]
    assert not is_settled(challenger)

    champion = record_approval.fn("rentals", 1, approved=True, who="Ada", why="looks right", at=AT + HOUR)
    assert champion == current_champion("rentals")
    assert latest("rentals", "approval").payload == {
        "verdict_id": challenger.verdict_id,
        "version": 1,
        "approved": True,
        "who": "Ada",
        "why": "looks right",
        "vouched": "Prefect's form, where the name is typed",
        "compared": 0,
        "serving": 0,
    }
    assert latest("rentals", "approval").at == AT + HOUR
    assert find_pending("rentals") == []
    assert record_approval.fn("rentals", 1, approved=True, who="Ada", why="again", at=AT + 2 * HOUR) == champion
    assert len(entries(kind="approval")) == len(entries(kind="promotion")) == 1
    verify_ledger()


def test_a_refusal_is_final_and_is_asked_for_once(judge) -> None:
    challenger = judge()
    assert record_approval.fn("rentals", 1, approved=False, who="Ada", why="too slow", at=AT) is None
    assert find_pending("rentals") == []
    assert is_settled(challenger)
    assert not lost_promotion_race(challenger)
    with pytest.raises(NotApproved, match="was refused by Ada"):
        promote.fn(challenger, None, AT)
    with pytest.raises(NotApproved, match="was refused by Ada: that answer is final"):
        record_approval.fn("rentals", 1, approved=True, who="Bob", why="", at=AT)
    assert current_champion("rentals") is None


def test_an_approval_goes_through_the_fence(judge) -> None:
    judge("a")
    judge("b")
    first = record_approval.fn("rentals", 1, approved=True, who="Ada", why="", at=AT)
    with pytest.raises(StaleChampion, match="version 2 of rentals was compared with generation 0, but version 1"):
        record_approval.fn("rentals", 2, approved=True, who="Ada", why="", at=AT)
    assert current_champion("rentals") == first
    assert find_pending("rentals") == []
    assert describe_entry(latest("rentals", "approval"))[3] == (
        "The approval came too late: the version was compared with generation 0, but generation 1 served."
    )


def test_what_waits_for_nobody_says_so(judge, rentals: Project) -> None:
    judge("a", promote=False)
    judge("b")
    with pytest.raises(NotApproved, match="version 1 of rentals was rejected by the gate"):
        record_approval.fn("rentals", 1, approved=True, who="Ada", why="", at=AT)
    with pytest.raises(NotApproved, match="no judged version 9: versions that wait for approval: 2"):
        record_approval.fn("rentals", 9, approved=True, who="Ada", why="", at=AT)


def test_a_form_is_opened_once_for_each_verdict(judge, prefect_server: None, monkeypatch: pytest.MonkeyPatch) -> None:
    from refit_flows.approve import approve

    first, second = judge("a"), judge("b")
    assert ask_for_approval.fn(first) is None
    monkeypatch.setenv("PREFECT__RUNTIME__DEPLOYMENT__ID", str(uuid4()))
    assert ask_for_approval.fn(first) is None
    deployed = str(approve.to_deployment("rentals").apply())
    asked = ask_for_approval.fn(first)
    assert asked is not None
    assert ask_for_approval.fn(first) == asked
    anew = replace(first, model=replace(first.model, run_id="of a ledger that begins anew"))
    assert len({asked, ask_for_approval.fn(second), ask_for_approval.fn(anew)}) == 3
    with get_client(sync_client=True) as client:
        run = client.read_flow_run(asked)
    assert (str(run.deployment_id), run.parameters) == (deployed, {"project": "rentals", "version": 1})


@pytest.fixture
def asked_for(judge, rentals: Project) -> Callable[[str], Challenger]:
    """Judges a version whose retrain a person has requested."""

    def ask(person: str) -> Challenger:
        challenger = judge()
        evidence = Evidence("rentals", AT, 0, Window(AT - HOUR, AT), HOUR, 10, 1, None, 10, AT)
        asked = replace(evidence, request=RetrainRequest("manual", "test", who=person))
        decision = decide_and_record.fn(rentals, asked, AT)
        record_outcome("rentals", RetrainRecord(decision.id, "pending", 1.0, 1, challenger.verdict_id), AT)
        return challenger

    return ask


def test_whoever_asked_for_a_retrain_has_to_find_somebody_else(asked_for) -> None:
    assert find_retrain_requester(asked_for("ada")) == "ada"
    for who, account in (("ada", ""), ("A. L.", "ada"), ("bob", "ada"), ("ada", "bob")):
        with pytest.raises(NotApproved, match="ada requested the retrain of version 1 of rentals"):
            record_approval.fn("rentals", 1, approved=True, who=who, why="", at=AT, account=account)
    assert entries(kind="approval") == []
    assert record_approval.fn("rentals", 1, approved=True, who="bob", why="", at=AT, account="bob") is not None


@pytest.mark.parametrize("variable", ["LOGNAME", "USER", "LNAME", "USERNAME", "GITHUB_ACTOR", "SUDO_USER"])
def test_a_variable_makes_nobody_another_person(asked_for, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    asked_for(current_user())
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv(variable, "bob")
    with pytest.raises(NotApproved, match="requires a different person"):
        approve_version("rentals", 1, approved=True, who="bob", why="")
    assert current_champion("rentals") is None


def test_a_variable_makes_no_other_person_request_a_retrain(monkeypatch: pytest.MonkeyPatch) -> None:
    account = current_user()
    for variable in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(variable, "bob")
    assert find_run_requester() == current_user() == account != "bob"


def test_a_name_that_is_typed_in_prefect_is_no_other_person(asked_for) -> None:
    asked_for("ada")
    with pytest.raises(NotApproved, match="Prefect's form does not vouch for the name that is typed"):
        record_approval.fn("rentals", 1, approved=True, who="bob", why="", at=AT)
    assert record_approval.fn("rentals", 1, approved=False, who="bob", why="", at=AT) is None


def test_what_vouches_for_an_approver_is_recorded(judge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITLAB_CI", "true")
    monkeypatch.setenv("GITLAB_USER_LOGIN", "eve")
    judge()
    approve_version("rentals", 1, approved=True, who="Bob", why="")
    said = f"the account {current_user()} on {socket.gethostname()}, a job of GitLab CI whose variables name eve"
    assert latest("rentals", "approval").payload["vouched"] == said
    assert f"What vouches for the name: {said}." in describe_entry(latest("rentals", "approval"))


def test_an_environment_has_its_own_rule(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = 'gate=GatePolicy(promotion="approve", environments={"dev": "auto"})'
    head = "import pandas as pd\nfrom sklearn.dummy import DummyRegressor\nfrom refit import GatePolicy, Project\n"
    roles = 'name="mills", kind="regression", target="y", timestamp="t", load=lambda _: pd.DataFrame()'
    (tmp_path / "mills.py").write_text(f"{head}project = Project({roles}, build=DummyRegressor, {gate})\n")
    monkeypatch.setenv("REFIT_PROJECTS", str(tmp_path))
    assert find_project("mills").gate.promotion == "approve"
    for environment, promotion in {"dev": "auto", "staging": "approve", "production": "approve"}.items():
        monkeypatch.setenv("REFIT_ENVIRONMENT", environment)
        assert find_project("mills").gate.promotion == promotion
