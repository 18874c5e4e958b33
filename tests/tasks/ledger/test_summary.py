"""What Prometheus is told of flows, on a real ledger: right after a life, cheap as it grows, honest when it fails."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from refit import GatePolicy, Project
from refit.monitoring.decide import RetrainRecord
from refit.monitoring.evidence import RetrainRequest
from refit.monitoring.guards import cooldown_end
from refit_serving.metrics.ledger_metrics import REFRESH_SECONDS, LedgerCollector
from refit_tasks.decision.decide import decide_and_record, record_outcome
from refit_tasks.decision.history import read_history
from refit_tasks.ledger.record import record
from refit_tasks.ledger.summary import LedgerSummaries
from refit_tasks.promotion.approve import record_approval
from refit_tasks.promotion.promote import promote
from refit_tasks.promotion.rollback import roll_back
from tests.support.decision_situations import drift_at, probe_at, quiet, score

AT = datetime(2026, 3, 20, tzinfo=UTC)
DAY = timedelta(days=1)


class Page:
    """What a scrape shows, by a clock that the test turns."""

    def __init__(self) -> None:
        self.now = 0.0
        self._registry = CollectorRegistry()
        self._registry.register(LedgerCollector(lambda: self.now))

    def scrape(self) -> None:
        self.now += REFRESH_SECONDS

    def __call__(self, name: str, project: str | None = "rentals", **labels: str) -> float | None:
        return self._registry.get_sample_value(name, labels if project is None else {"project": project, **labels})


@pytest.fixture
def lived(rentals: Project, judge) -> Project:
    """A promotion, a rejection, a second promotion; a quiet window, then a drop that starts a retrain which fails."""
    first = promote.fn(judge("a"), None, AT)
    judge("b", over=first, promote=False)
    promote.fn(judge("c", over=first), first, AT + DAY)
    evidence = quiet(10, generation=2)
    decide_and_record.fn(rentals, evidence, AT + 2 * DAY)
    seen = replace(
        evidence,
        drift=drift_at(evidence.as_of, "wind"),
        performance=replace(score(), rows_mature=600),
        probe=probe_at(evidence.as_of),
    )
    made = decide_and_record.fn(rentals, seen, AT + 3 * DAY)
    assert made.decision.action == "retrain"
    record_outcome("rentals", RetrainRecord(made.id, "failed", 4.0, error="no disk"), AT + 3 * DAY)
    return rentals


def test_a_projects_life_in_numbers(lived: Project) -> None:
    page = Page()
    assert page("refit_ledger_readable", None) == 1
    assert page("refit_decisions_total", action="wait") == page("refit_decisions_total", action="retrain") == 1
    assert (page("refit_verdicts_total", outcome="promote"), page("refit_verdicts_total", outcome="reject")) == (2, 1)
    assert (page("refit_promotions_total"), page("refit_retrains_total", ending="failed")) == (2, 1)
    assert (page("refit_champion_version"), page("refit_champion_generation")) == (3, 2)
    assert page("refit_champion_since_timestamp_seconds") == (AT + DAY).timestamp()
    assert page("refit_champion_trained_until_timestamp_seconds") == datetime(2026, 2, 1, tzinfo=UTC).timestamp()
    assert page("refit_monitored_timestamp_seconds") == (AT + 3 * DAY).timestamp()
    assert (page("refit_window_rows"), page("refit_new_rows")) == (1_000, 10_000)
    assert (page("refit_drift_share"), page("refit_drifted")) == (0.5, 1)
    assert (page("refit_score"), page("refit_score_reference"), page("refit_score_dropped")) == (0.7, 0.9, 0)
    assert page("refit_label_coverage_ratio") == pytest.approx(600 / 900)
    assert page("refit_approvals_waiting") == 0
    assert page("refit_budget_minutes_left") is None
    history = read_history("rentals", AT)
    ends = cooldown_end(lived.monitoring, history, history.former.length)
    assert page("refit_cooldown_until_timestamp_seconds") == ends.timestamp()
    assert page("refit_budget_retrains_left") == lived.monitoring.budget.retrains - 1


def test_what_a_person_asks_for_is_no_monitors(lived: Project) -> None:
    asked = quiet(11, generation=2, request=RetrainRequest("manual", "why not"))
    decide_and_record.fn(lived, asked, AT + 9 * DAY)
    page = Page()
    assert page("refit_monitored_timestamp_seconds") == (AT + 3 * DAY).timestamp()
    assert page("refit_decided_timestamp_seconds") == (AT + 9 * DAY).timestamp()


def test_a_rollback_takes_the_champion_back(lived: Project) -> None:
    page = Page()
    assert (page("refit_rollbacks_total"), page("refit_champion_version")) == (0, 3)
    roll_back("rentals", "it is wrong", "Ada", AT + 4 * DAY)
    page.scrape()
    assert (page("refit_rollbacks_total"), page("refit_champion_version")) == (1, 1)
    assert page("refit_champion_generation") == 3


class TestApproval:
    @pytest.fixture
    def rentals(self, rentals: Project) -> Project:
        return rentals.model_copy(update={"gate": GatePolicy(promotion="approve")})

    def test_waits_until_it_is_answered(self, judge) -> None:
        page = Page()
        judge("a")
        judge("b")
        assert page("refit_approvals_waiting") == 2
        record_approval.fn("rentals", 1, approved=False, who="Ada", why="", at=AT)
        page.scrape()
        assert page("refit_approvals_waiting") == 1
        record_approval.fn("rentals", 2, approved=True, who="Ada", why="", at=AT)
        page.scrape()
        assert page("refit_approvals_waiting") == 0
        assert page("refit_approvals_total", answer="approve") == page("refit_approvals_total", answer="refuse") == 1


def test_the_ledger_is_asked_no_more_often_than_every_ten_seconds(home: Path) -> None:
    record("rentals", "alias", {}, AT)
    page = Page()
    assert page("refit_ledger_entries", None) == 1
    record("rentals", "alias", {}, AT)
    page.now += REFRESH_SECONDS - 0.1
    assert page("refit_ledger_entries", None) == 1
    page.now += 0.1
    assert page("refit_ledger_entries", None) == 2


def test_read_bit_by_bit_it_adds_up_to_the_same(lived: Project) -> None:
    bitwise = LedgerSummaries()
    for number in range(5):
        bitwise.update()
        record("rentals", "alias", {}, AT)
        record(f"other{number % 2}", "alias", {}, AT)
    bitwise.update()
    whole = LedgerSummaries()
    whole.update()
    assert bitwise.projects == whole.projects
    assert whole.projects["rentals"].counts["alias", ""] == 5
    before = whole.projects["rentals"]
    whole.update()
    assert whole.projects["rentals"] is before


def test_a_restored_backup_is_counted_anew(home: Path, tmp_path: Path) -> None:
    record("rentals", "alias", {}, AT)
    shutil.copytree(home, tmp_path / "backup")
    page = Page()
    for number in range(3):
        record("rentals", "alias", {"number": number}, AT)
    page.scrape()
    assert page("refit_ledger_entries", None) == 4
    shutil.rmtree(home)
    shutil.copytree(tmp_path / "backup", home)
    record("rentals", "notice", {}, AT)
    page.scrape()
    assert page("refit_ledger_entries", None) == 2


def test_while_the_ledger_cannot_be_read_the_numbers_stand_still_and_say_so(lived: Project, home: Path) -> None:
    page = Page()
    assert page("refit_promotions_total") == 2
    (home / "ledger.db").rename(home / "away.db")
    (home / "ledger.db").write_bytes(b"no database" * 1_000)
    page.scrape()
    assert (page("refit_ledger_readable", None), page("refit_promotions_total")) == (0, 2)
    assert page("refit_champion_version") == 3
    (home / "away.db").replace(home / "ledger.db")
    page.scrape()
    assert page("refit_ledger_readable", None) == 1
