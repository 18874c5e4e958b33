import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest

from refit import Project
from refit.errors import StateError
from refit.gate.evaluations import Judgement
from refit.monitoring.decide import DecisionRecord, RetrainRecord
from refit.monitoring.history import History
from refit.records.ledger import as_payload
from refit.records.references import Champion
from refit_tasks.ledger.history import MAX_LISTED, MAX_SAMPLED, event_marks, pick_evenly, read_history, score_points
from refit_tasks.ledger.record import record
from refit_tasks.reporting.report import MOST_PICTURES, render_page, report_page, save_page
from tests.support.monitored_champion import HOSTILE, START, WEEK, column, decision, evidence

NOW = START + 400 * WEEK


class Tags(HTMLParser):
    """Collects a page's tags, and its text outside of them."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data) -> None:
        self.words.append(data)


def read(page: str) -> Tags:
    tags = Tags()
    tags.feed(page)
    return tags


@pytest.fixture
def decide(rentals: Project, home: Path) -> Callable[..., int]:
    """Records a decision about a week."""
    home.mkdir(exist_ok=True)

    def recorded(week: int, action: str = "wait", sentence: str = "the gain is 15 %", score=0.81, columns=()) -> int:
        known = evidence(week, *columns, score=score)
        decided = DecisionRecord(known, rentals.monitoring, History(), decision(action, sentence))
        return record("rentals", "decision", as_payload(decided), known.as_of).id

    return recorded


def test_without_a_decision_the_page_says_what_to_do_next(rentals: Project, home: Path) -> None:
    home.mkdir()
    words = " ".join(read(report_page(rentals, NOW)).words)
    assert "refit retrain rentals" in words
    assert "refit monitor rentals" in words
    assert "refit labels rentals FILE" in words


def test_the_page_tells_decisions_retrains_and_verdicts_and_links_them(
    rentals: Project, decide, request: pytest.FixtureRequest
) -> None:
    model, comparison, verdict, ingestion = request.getfixturevalue("evidence")()
    judgement = Judgement(model, comparison, rentals.gate, verdict, None, ingestion)
    number = decide(10, "retrain", columns=(column(), column("wind", drifted=True)))
    judged = record("rentals", "verdict", {**as_payload(judgement), "version": 4}, NOW)
    record("rentals", "retrain", as_payload(RetrainRecord(number, "promoted", 1.5, 4, judged.id)), NOW)
    later = decide(11, "alert", "the score has dropped", score=0.7)
    page = read(render_page(rentals, replace(read_history("rentals"), champion=Champion(model, 4, 2, NOW)), NOW))
    words = " ".join(" ".join(page.words).split())
    assert "Version 4 , generation 2" in words
    assert "the score has dropped" in words
    assert "the error is 1.3, at most 1.4 is asked for" in words
    assert "Realised roc_auc (higher is better) 0.7" in words
    targets = {attributes["id"] for _, attributes in page.tags if attributes.get("id")}
    links = {attributes["href"] for tag, attributes in page.tags if tag == "a"}
    assert {f"#decision-{number}", f"#decision-{later}", f"#verdict-{judged.id}"} <= links
    assert {link.removeprefix("#") for link in links} <= targets


def test_the_page_needs_no_network_and_runs_no_script(rentals: Project, decide) -> None:
    decide(10, "alert", columns=(column(drifted=True),))
    page = report_page(rentals, NOW)
    tags = read(page)
    policy = next(attributes for _, attributes in tags.tags if attributes.get("http-equiv"))
    assert policy["content"] == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    sources = [attributes["src"] for _, attributes in tags.tags if "src" in attributes]
    assert len(sources) == 2
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in tags.tags}
    assert "http" not in re.sub(r"http-equiv", "", page)


def test_what_comes_from_outside_is_text_and_nothing_else(rentals: Project, decide) -> None:
    calm = len(read(_page_with(rentals, decide, "calm")).tags)
    page = _page_with(rentals.model_copy(update={"description": HOSTILE}), decide, HOSTILE)
    wild = read(page)
    assert len(wild.tags) == calm
    assert not any("onerror" in attributes for _, attributes in wild.tags)
    assert "<script" not in page
    assert "<script>alert('1')</script>" in "".join(wild.words)


def _page_with(definition: Project, decide, name: str) -> str:
    decide(10, "alert", name, columns=(column(name, drifted=True, kind="category"),))
    newest = read_history("rentals")
    return render_page(
        definition, replace(newest, decisions=newest.decisions[:1], sampled=newest.sampled[-1:], decided=1), NOW
    )


@pytest.mark.slow
def test_years_of_decisions_stay_under_a_megabyte(rentals: Project, decide) -> None:
    wild = tuple(column(f"{HOSTILE * 9} {place}", drifted=True, many=12) for place in range(200))
    for week in range(2, 60):
        decide(week, "retrain", HOSTILE * 20)
    decide(60, "alert", HOSTILE * 20, columns=wild)
    record_of = read_history("rentals")
    assert len(record_of.decisions) == MAX_LISTED
    assert (record_of.decided, len(record_of.sampled)) == (59, 59)
    many = replace(record_of, sampled=tuple(record_of.sampled[place % 59] for place in range(MAX_SAMPLED + MAX_LISTED)))
    assert len(render_page(rentals, many, NOW).encode()) < 1_000_000


def test_a_long_past_is_sampled_evenly_with_the_newest_in_full() -> None:
    assert pick_evenly(list(range(1, 11)), 5) == [2, 4, 6, 8, 10]
    assert pick_evenly([3], 5) == [3]
    assert pick_evenly([], 5) == []
    assert len(pick_evenly(list(range(9_999)), MAX_SAMPLED)) <= MAX_SAMPLED


def test_scores_are_one_per_window_and_withheld_ones_leave_a_gap(decide) -> None:
    for week, score in ((10, 0.8), (11, None), (12, 0.7), (12, 0.75)):
        decide(week, score=score)
    metric, scored = score_points(read_history("rentals"))
    assert metric == "roc_auc"
    assert [(point.at, point.score) for point in scored] == [(START + 9 * WEEK, 0.8), (START + 11 * WEEK, 0.75)]


def test_retrains_and_alerts_are_marked_when_the_decision_looked(decide) -> None:
    for week, ending in ((10, "promoted"), (11, "rejected"), (12, "refused")):
        outcome = RetrainRecord(decide(week, "retrain"), ending, 1.0)
        record("rentals", "retrain", as_payload(outcome), NOW + timedelta(days=week))
    decide(13, "alert")
    found = {(mark.at, mark.event) for mark in event_marks(read_history("rentals"))}
    assert found == {
        (START + 10 * WEEK, "promoted"),
        (START + 11 * WEEK, "rejected"),
        (START + 12 * WEEK, "asked"),
        (START + 13 * WEEK, "alert"),
    }


def test_a_retrain_whose_end_is_too_long_ago_to_be_read_is_not_called_unanswered(decide) -> None:
    for week in range(2, 12):
        record("rentals", "retrain", as_payload(RetrainRecord(decide(week, "retrain"), "rejected", 1.0)), NOW)
    decide(12, "retrain")
    found = event_marks(read_history("rentals", sample=5))
    assert {mark.event for mark in found} == {"rejected", "asked"}
    assert [mark.at for mark in found if mark.event == "asked"] == [START + 12 * WEEK]


def test_no_link_leads_nowhere_when_the_past_is_longer_than_the_page(rentals: Project, decide) -> None:
    first = decide(2, "retrain", columns=(column(drifted=True),))
    record("rentals", "retrain", as_payload(RetrainRecord(first, "promoted", 1.0, 1, 999)), NOW)
    for week in range(3, MAX_LISTED + 5):
        decide(week)
    tags = read(report_page(rentals, NOW)).tags
    targets = {attributes["id"] for _, attributes in tags if attributes.get("id")}
    links = {attributes["href"].removeprefix("#") for tag, attributes in tags if tag == "a"}
    assert links <= targets
    assert f"decision-{first}" not in targets


def test_a_column_that_drifted_comes_before_one_that_moved_farther_by_nature(rentals: Project, decide) -> None:
    natural = replace(column("backlog"), psi=5.7, excess=4.5)
    decide(10, "alert", columns=(natural, *(column(f"drifted {place}", drifted=True) for place in range(30))))
    page = read(report_page(rentals, NOW))
    words = [word for word in page.words if word.strip()]
    assert words.index("drifted 0") < words.index("backlog")
    assert f"Only the first {MOST_PICTURES} of 30 drifted columns have a chart." in page.words
    assert sum(tag == "img" for tag, _ in page.tags) == MOST_PICTURES + 1


def test_another_projects_record_is_not_shown(decide, home: Path) -> None:
    decide(10)
    assert read_history("bikes").decisions == ()


def test_a_page_replaces_the_one_before_and_leaves_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    assert save_page("old", file) == 3
    assert save_page("caf\u00e9", file) == 5
    assert file.read_text() == "caf\u00e9"
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("place", ["nowhere/page.html", "a_directory"])
def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path: Path, place: str) -> None:
    (tmp_path / "a_directory").mkdir()
    with pytest.raises(StateError, match=r"cannot be written .*--out"):
        save_page("page", tmp_path / place)
    assert [found.name for found in tmp_path.iterdir()] == ["a_directory"]
