"""What a person does and sees in Prefect's and MLflow's pages of a real `refit up`, one step after the other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

import pytest
from playwright.sync_api import expect

from tests.support.browser import HERE, Browser, browser
from tests.support.prefect_pages import approve, artifact, form_of, message, run_page, submit
from tests.support.running_up import NOW, Hosted, hosted, until_now, wait_for

POLICY = "cooldown=timedelta(0)), gate=GatePolicy(promotion='approve'"


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosted]:
    with hosted(tmp_path_factory.mktemp("hosted"), POLICY) as host:
        host.until_ready()
        yield host


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as chromium:
        yield chromium


@pytest.fixture
def prefect(host: Hosted) -> str:
    return f"http://{HERE}:{host.port}"


def test_a_retrain_is_started_by_its_form_and_its_verdict_can_be_read(
    chromium: Browser, host: Hosted, prefect: str
) -> None:
    page, as_of = chromium.page, NOW - timedelta(days=20)
    form = form_of(chromium, prefect, "retrain")
    for title in ("Project", "As of", "Reason", "Force", "Decision"):
        expect(form.get_by_text(re.compile(rf"^{title}( \(Optional\))?$")).first).to_be_visible()
    form.get_by_role("button", name="date-time").click()
    form.locator(".p-date-button__actions button").click()
    page.locator("input[type=date]").fill(f"{as_of:%Y-%m-%d}")
    page.locator("input[type=time]").fill(f"{as_of:%H:%M}")
    page.get_by_role("button", name="Apply").click()
    form.locator("textarea").fill("tried in a browser")
    chromium.picture("retrain-form")
    submit(form, then="Upcoming")

    run = page.locator(".flow-run-list-item, .state-list-item").filter(has_text="parcels: tried in a browser")
    expect(run.get_by_text("Completed", exact=True)).to_be_visible()
    chromium.picture("retrain-runs")
    run_page(page, prefect, "parcels: tried in a browser", "Completed")
    expect(page.get_by_text("Finished in state Completed").last).to_be_visible()
    chromium.picture("retrain-run")
    assert message(page).startswith("waits for approval: version 1, roc_auc +0.4")
    chromium.picture("retrain-details")
    artifact(page, "parcels-verdict")
    row = page.get_by_role("row").filter(has=page.get_by_role("cell", name="beats_baseline"))
    expect(row.get_by_role("cell", name="passed")).to_be_visible()
    expect(page.get_by_role("heading", name="parcels: promote as the first champion")).to_be_visible()
    chromium.picture("verdict")
    opened = chromium.follow(page.get_by_role("link", name="version 1 of parcels"))
    expect(opened.get_by_role("heading", name="Version 1")).to_be_visible()
    assert opened.url.startswith(f"http://{HERE}:{host.mlflow_port}/")
    opened.close()


def test_the_other_artifacts_of_the_run_and_their_history(chromium: Browser, prefect: str) -> None:
    page = chromium.page
    for key, said in (("card", "parcels version 1: fit to serve"), ("contract", "rows accepted, 0 quarantined")):
        run_page(page, prefect, "parcels: tried in a browser", "Completed")
        artifact(page, f"parcels-{key}")
        expect(page.get_by_role("heading", name=said)).to_be_visible()
        chromium.picture(key)
    page.goto(f"{prefect}/artifacts/key/parcels-verdict")
    expect(page.get_by_role("link", name="parcels: tried in a browser")).to_be_visible()
    chromium.picture("verdicts")


def test_a_pending_promotion_is_approved_in_the_form_of_its_run(chromium: Browser, host: Hosted, prefect: str) -> None:
    wait_for(lambda: [run["state_name"] for run in host.runs("approve")] == ["Suspended"])
    (asking,) = host.runs("approve")

    def heard() -> list[str]:
        chosen = {"filter": {"resource": {"id": [f"prefect.flow-run.{asking['id']}"]}}, "limit": 50}
        found = host.ask("POST", "/events/filter", chosen)["events"]
        return [one["event"] for one in sorted(found, key=lambda one: one["received"])]

    # A heartbeat that is heard last is that of a dead run, which would be marked as crashed after a while.
    wait_for(lambda: heard()[-1] == "refit.run.waits", 30)
    approve(chromium, prefect, 1)


def test_a_monitor_shows_the_drift_and_what_it_started_is_approved(
    chromium: Browser, host: Hosted, prefect: str
) -> None:
    page = chromium.page
    host.depot.deliver(until_now(60, turned=45))
    form = form_of(chromium, prefect, "monitor")
    chromium.picture("monitor-form")
    submit(form, then="Upcoming")
    run_page(page, prefect, "parcels: manual", "Completed")
    assert message(page).startswith("retrain: ")
    artifact(page, "parcels-drift")
    expect(page.get_by_role("heading", name="Performance over time")).to_be_visible()
    pictures = page.locator("article img")
    expect(pictures.first).to_be_visible()
    widths = pictures.evaluate_all("found => found.map(one => one.naturalWidth)")
    assert widths
    assert all(width > 100 for width in widths)
    chromium.picture("drift")

    wait_for(lambda: [run["state_name"] for run in host.runs("approve")] == ["Completed", "Suspended"])
    (_, started) = host.runs("retrain")
    run_page(page, prefect, started["name"], "Completed")
    artifact(page, "parcels-verdict")
    expect(page.get_by_role("heading", name="parcels: promote over version 1")).to_be_visible()
    chromium.picture("verdict-2")
    opened = chromium.follow(page.get_by_role("link", name=re.compile("decision [0-9]+, the run of the monitor")))
    expect(opened.get_by_text("parcels: manual").first).to_be_visible()
    opened.close()
    approve(chromium, prefect, 2)


def test_mlflow_shows_the_champion_with_its_verdict(chromium: Browser, host: Hosted) -> None:
    page = chromium.page
    page.goto(f"http://{HERE}:{host.mlflow_port}/#/models/parcels")
    champion = page.get_by_role("row").filter(has_text="champion")
    expect(champion.get_by_role("link", name="Version 2")).to_be_visible()
    chromium.picture("mlflow-model")
    champion.get_by_role("link", name="Version 2").click()
    expect(page.get_by_role("heading", name="parcels: promote over version 1")).to_be_visible()
    chromium.picture("mlflow-version")


def test_nothing_was_asked_of_any_other_machine(chromium: Browser) -> None:
    assert chromium.asked == {HERE}
