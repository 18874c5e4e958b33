from dataclasses import replace
from datetime import UTC, datetime

import pytest

from refit import Project
from refit.gate.evaluations import Evaluation, Judgement
from refit.records.references import Champion
from refit.records.verdicts import Reason, Verdict
from refit_tasks.registry.verdict_report import render_verdict, write_headline

AT = datetime(2026, 3, 2, tzinfo=UTC)


@pytest.fixture
def judgement(rentals: Project, evidence) -> Judgement:
    model, comparison, verdict, ingestion = evidence()
    return Judgement(model, comparison, rentals.gate, verdict, None, ingestion)


def test_the_headline_says_what_becomes_of_the_challenger(judgement: Judgement) -> None:
    champion = Champion(judgement.model, 3, 2, AT)
    rejection = Verdict((Reason("floor", passed=False, value=0.1, limit=0.2, sentence="0.1 is below 0.2"),))
    assert write_headline(judgement) == "promote as the first champion"
    assert write_headline(replace(judgement, over=champion)) == "promote over version 3"
    assert write_headline(replace(judgement, over=champion, verdict=rejection)) == "rejected: 0.1 is below 0.2"


def test_the_page_shows_every_rule_score_window_and_fingerprint(rentals: Project, judgement: Judgement) -> None:
    champion = Champion(judgement.model, 3, 2, AT)
    compared = replace(judgement.comparison, champion=Evaluation(-1.4444444444, ()))
    page = render_verdict(replace(judgement, over=champion, comparison=compared))
    assert "| floor | passed | -1.3 | -1.4 |" in page
    assert "- **floor**: the error is 1.3, at most 1.4 is asked for" in page
    assert "| challenger | -1.3 |" in page
    assert "| champion, version 3 | -1.444 |" in page
    assert "| trivial baseline | -2 |" in page
    assert f"| trained on | 4,000 | 2026-01-01 00:00 | 2026-02-01 00:00 | 3 | `{'f' * 12}` |" in page
    assert f"| judged on | 1,000 | 2026-02-01 00:00 | 2026-03-01 00:00 | 3 | `{'0' * 12}` |" in page
    assert "5,010 rows in, 5,000 accepted, 10 quarantined" in page
    assert "- new \\| town" in page


def test_what_comes_from_outside_is_no_markup(rentals: Project, judgement: Judgement) -> None:
    hostile = "a|b\r\n# c <script>alert('1')</script> [d](http://e) `f` **g**"
    verdict = Verdict((Reason(hostile, passed=False, value=None, limit=float("nan"), sentence=hostile),))
    page = render_verdict(replace(judgement, verdict=verdict))
    rule = next(line for line in page.splitlines() if line.startswith("| a"))
    escaped = "a\\|b  \\# c &lt;script&gt;alert('1')&lt;/script&gt; \\[d\\](http://e) \\`f\\` \\*\\*g\\*\\*"
    assert rule == f"| {escaped} | **failed** |  |  |"
    assert f"- **{escaped}**: {escaped}" in page
    assert page.splitlines()[0] == f"## rentals: rejected: {escaped}"
