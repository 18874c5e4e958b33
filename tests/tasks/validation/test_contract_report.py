from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from refit.records.references import BrokenRule, Ingestion
from refit.windows import BEGINNING, Window
from refit_tasks.validation.contract_report import MAX_RULES, render_contract_page, summarize_ingestion
from tests.support.monitored_champion import HOSTILE

WINDOW = Window(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC))
INGESTION = Ingestion(
    project="rentals",
    window=WINDOW,
    version=3,
    rows_in=1_010,
    accepted=1_000,
    quarantined=10,
    added=900,
    corrected=5,
    warnings=("the share of missing towns is 4 %",),
    broken=(BrokenRule("between", "rentals", 8), BrokenRule("key_missing", "station_id", 3)),
)


def test_the_page_says_which_rules_were_broken_how_often() -> None:
    page = render_contract_page(INGESTION)
    said = "1,000 of 1,010 rows accepted, 10 quarantined, most by between of rentals (8), 1 warning"
    assert summarize_ingestion(INGESTION) == said
    assert page.splitlines()[0] == f"## rentals: {said}"
    assert "900 rows added to the table, 5 replaced an older row." in page
    assert "| between | rentals | 8 |\n| key\\_missing | station\\_id | 3 |" in page
    assert "- the share of missing towns is 4 %" in page
    assert "`refit quarantine rentals list`" in page


def test_rows_without_a_fault_are_one_line() -> None:
    clean = replace(INGESTION, rows_in=1_000, quarantined=0, warnings=(), broken=())
    assert summarize_ingestion(clean) == "1,000 of 1,000 rows accepted, 0 quarantined"
    assert "quarantine rentals" not in render_contract_page(clean)
    first = replace(clean, window=Window(BEGINNING, WINDOW.end))
    assert render_contract_page(first).splitlines()[2].startswith("Loaded until 2026-03-02 00:00 UTC:")
    nothing = replace(clean, rows_in=0, accepted=0)
    assert summarize_ingestion(nothing) == "no new rows"
    assert "nothing new" in render_contract_page(nothing)


def test_what_comes_from_outside_is_no_markup_and_the_page_stays_small() -> None:
    broken = tuple(BrokenRule(HOSTILE, f"{HOSTILE} {place}", 1) for place in range(300))
    page = render_contract_page(replace(INGESTION, broken=broken, warnings=(HOSTILE,)))
    assert "<script" not in page
    assert "\n# c" not in page
    assert f"And {300 - MAX_RULES} more rules." in page
    assert len(page) < 60_000
