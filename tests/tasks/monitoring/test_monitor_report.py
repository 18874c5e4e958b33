import re
from dataclasses import replace
from math import nan
from pathlib import Path

import pytest

from refit import Project
from refit.monitoring.decide import DecisionRecord
from refit.monitoring.evidence import Evidence
from refit.monitoring.history import History
from refit.records.ledger import as_payload
from refit_tasks.ledger.history import read_history
from refit_tasks.ledger.record import record
from refit_tasks.monitoring.monitor_report import MOST_COLUMNS, MOST_PICTURES, monitor_markdown
from refit_tasks.simulation.backtest_report import backtest_markdown
from tests.support.monitored_champion import HOSTILE, backtest, column, decision, evidence


def test_the_page_says_what_was_decided_on_what() -> None:
    page = monitor_markdown(evidence(10, column(), column("wind", drifted=True)), 12, decision("retrain"))
    first = page.splitlines()[0]
    assert first == "## rentals: retrain: the gain is 15 %, at least 2 % is required (decision 12)"
    assert "| probe | **fired** | 0.15 | 0.02 |" in page
    assert "- **probe**: the gain is 15 %, at least 2 % is required" in page
    assert "| schedule | quiet |  |  |" in page
    assert "Realised roc\\_auc (higher is better) 0.81, 95 % interval 0.79 to 0.83 against a baseline of 0.85." in page
    assert "950 of 1,000 rows" in page
    assert "(95.0 %)" in page
    assert "Estimate without labels for the current window, not a realised score: accuracy 0.77" in page
    assert "lowers the loss of an equally small one on the champion's rows, 0.2, by 0.03 (15.0 %)" in page
    assert "1 of 2 feature columns drifted" in page
    assert "- the table has no slices" in page


def test_the_largest_change_comes_first_and_has_a_picture() -> None:
    page = monitor_markdown(evidence(10, column(), column("wind", drifted=True)), 12, decision())
    rows = [line for line in page.splitlines() if line.startswith(("| wind", "| temperature"))]
    assert rows == [
        "| wind | **yes** | 0.3500 | 0.4123 | 0.310 | +10.0 points | 5.0 % | 1e-09 |",
        "| temperature | no | 0.0000 | 0.0101 | 0.310 | -0.1 points | 0.0 % | 0.6 |",
    ]
    assert page.count("](data:image/png;base64,") == 1
    assert "![wind: reference and current shares]" in page


def test_the_scores_so_far_are_drawn_with_the_decisions(rentals: Project, home: Path) -> None:
    home.mkdir()
    entries = [evidence(week, score=0.8) for week in (9, 10)]
    for known in entries:
        decided = DecisionRecord(known, rentals.monitoring, History(), decision("alert"))
        record("rentals", "decision", as_payload(decided), known.as_of)
    page = monitor_markdown(entries[-1], 12, decision("alert"), read_history("rentals"))
    assert page.count("](data:image/png;base64,") == 1
    assert "![roc\\_auc over time, with its interval and the decisions]" in page
    alone = monitor_markdown(entries[-1], 12, decision("alert"), read_history("bikes"))
    assert "over time" not in alone


def test_every_number_of_a_column_is_explained() -> None:
    page = monitor_markdown(evidence(10, column()), 12, decision())
    (head,) = [line for line in page.splitlines() if line.startswith("| column |")]
    words = page[page.index("### Drift") :].replace(head, "").lower()
    for name in head.strip("| ").lower().split(" | ")[1:]:
        assert re.search(rf"\b{name}\b", words), name


def test_a_withheld_score_is_never_shown_as_one() -> None:
    page = monitor_markdown(evidence(score=None), 12, decision())
    assert "The score (roc\\_auc) is withheld: half of the labels are missing." in page
    assert "Realised" not in page


def test_hundreds_of_columns_do_not_make_the_page_large() -> None:
    columns = [column(f"{place} {HOSTILE}", drifted=True, many=12) for place in range(300)]
    page = monitor_markdown(evidence(10, *columns), 12, decision())
    assert page.count("](data:image/png;base64,") == MOST_PICTURES
    assert f"And {300 - MOST_COLUMNS} columns that changed less." in page
    assert len(page) < 120_000


@pytest.mark.parametrize("names", [("never", HOSTILE), ("never", "every window", "default")])
def test_what_comes_from_outside_is_no_markup(names) -> None:
    found = replace(evidence(10, column(HOSTILE, drifted=True)), project="rentals", withheld=(HOSTILE,))
    pages = (monitor_markdown(found, 1, decision("alert", HOSTILE)), backtest_markdown(backtest(names)))
    for page in pages:
        assert "<script" not in page
        assert "<img" not in page
        assert "\n# c" not in page
        assert "![f](g)" not in page


def test_without_any_measure_there_is_still_a_page() -> None:
    bare = Evidence("rentals", evidence().as_of, 0, evidence().window, evidence().length, 0, 1, None, 0, None)
    assert "0 rows, " in monitor_markdown(bare, 3, decision())


def test_a_backtest_has_a_row_for_every_policy_and_names_the_best() -> None:
    page = backtest_markdown(backtest())
    assert page.splitlines()[0] == "## rentals: backtest: least loss with default, 0.27875 at 4 trainings"
    assert "| never | 0.30875 | 1 | 0.01 | 0 | 0 |" in page
    assert "](data:image/png;base64," in page


def test_a_backtest_without_a_score_says_so() -> None:
    result = backtest()
    blank = {
        name: replace(found, loss=nan, relative_loss=nan, losses=(nan,) * 8) for name, found in result.policies.items()
    }
    page = backtest_markdown(replace(result, policies=blank))
    assert "backtest without a scored window" in page
    assert "nan" not in page.split("![")[0]
