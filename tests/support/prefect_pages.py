"""What a person does in Prefect's pages, in steps that a test puts together."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, Page, expect

from tests.support.browser import PATIENCE_MS, Browser

REFUSED = re.compile("Something went wrong|Failed to resume")
TRIES = 5

expect.set_options(timeout=PATIENCE_MS)


def form_of(chromium: Browser, prefect: str, flow: str) -> Locator:
    """Goes from the list of deployments to the form of one."""
    page = chromium.page
    page.goto(f"{prefect}/deployments")
    row = page.get_by_role("row").filter(has=page.get_by_role("link", name=flow, exact=True))
    expect(row).to_be_visible()
    chromium.picture("deployments")
    row.get_by_role("link", name="parcels", exact=True).click()
    page.get_by_role("button", name="Run", exact=True).click()
    page.get_by_text("Custom run").click()
    form = page.locator("form")
    expect(form.get_by_text("The project's name.")).to_be_visible()
    return form


def submit(form: Locator, then: str) -> None:
    """Sends a form, until its page has gone on to one that shows a text.

    Again where SQLite was busy: Prefect's server answers 503 then, so that clients try again, and its pages do not.
    """
    page = form.page
    arrived, refused = page.get_by_text(then, exact=True).first, page.get_by_text(REFUSED).first
    for _ in range(TRIES):
        form.get_by_role("button", name="Submit").click()
        expect(arrived.or_(refused).first).to_be_visible()
        if not refused.is_visible():
            return
        expect(refused).to_be_hidden()
    raise AssertionError("the form is refused, again and again")


def run_page(page: Page, prefect: str, name: str, state: str) -> None:
    """Opens the page of a run from the list, and waits for the badge of its state."""
    page.goto(f"{prefect}/runs")
    page.get_by_role("link", name=name, exact=True).first.click()
    expect(page.get_by_text("Job Variables", exact=True)).to_be_visible()
    expect(page.get_by_text(state, exact=True).first).to_be_visible()


def message(page: Page) -> str:
    """Reads what the state of the run on this page says."""
    page.get_by_text("Details", exact=True).click()
    page.get_by_text("State Message", exact=True).wait_for()
    if (more := page.get_by_text("See More")).count():
        more.click()
    return page.locator("body").inner_text().partition("State Message")[2].strip()


def artifact(page: Page, key: str) -> None:
    """Opens an artifact of the run on this page."""
    page.get_by_text("Artifacts", exact=True).click()
    page.get_by_role("link", name=key).click()
    expect(page.get_by_text("Show raw data")).to_be_visible()


def approve(chromium: Browser, prefect: str, version: int) -> None:
    """Approves a version in the form of the run that waits for it."""
    page = chromium.page
    run_page(page, prefect, f"parcels: approve version {version}", "Suspended")
    page.get_by_role("button", name="Resume").click()
    form = page.locator(".p-modal")
    expect(form.get_by_role("cell", name="enough_rows")).to_be_visible()
    expect(form.get_by_text(re.compile("judged on [0-9,]+ unseen rows, at least 50 are required"))).to_be_attached()
    # Prefect's lists in forms shut again at once, unless they are opened by their arrow or a key.
    form.locator(".p-select-button__icon").click()
    page.get_by_role("option", name="approve", exact=True).click()
    form.locator("textarea").first.fill("Ada")
    form.locator("textarea").last.fill("it looks right")
    chromium.picture(f"approve-{version}")
    submit(form, then="Completed")
    assert message(page).startswith(f"approved by Ada: version {version} is champion")
    chromium.picture(f"approved-{version}")
