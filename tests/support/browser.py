"""A headless Chromium that a person would see the same in: it asks nothing of any other machine, and keeps pictures."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Locator, Page, Route, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
MISSING = (
    "no Chromium is on the PATH, and the test of the UI drives one: install it, for example by `apt-get install "
    "chromium`"
)
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
HERE = "127.0.0.1"
PATIENCE_MS = 120_000
WIDTH, HEIGHT, TALLEST = 1_400, 1_000, 6_000


def find_chromium() -> str | None:
    """Finds the system's Chromium."""
    return next(filter(None, map(shutil.which, NAMES)), None)


def screenshots() -> Path:
    """The directory of the pictures."""
    return Path(os.environ.get("REFIT_UI_SCREENSHOTS") or Path(__file__).parents[2] / ".refit" / "ui")


class Browser:
    """A page, what it asks of whom, and a picture of each step."""

    def __init__(self, page: Page, pictures: Path) -> None:
        self.page, self.pictures = page, pictures
        self.asked = set[str]()
        """Whom the pages have asked for anything."""
        self.taken = 0
        page.context.route("**/*", self._let)
        page.on("websocket", lambda socket: self.asked.add(urlsplit(socket.url).hostname or ""))

    def _let(self, route: Route) -> None:
        address = urlsplit(route.request.url)
        if address.scheme in ("http", "https"):
            self.asked.add(address.hostname or "")
            if address.hostname != HERE:
                route.abort()
                return
        route.continue_()

    def picture(self, name: str, page: Page | None = None) -> None:
        """Keeps a picture of the whole page, however long it is: these pages scroll within themselves."""
        shown = page or self.page
        tall = shown.evaluate("Math.max(...[...document.querySelectorAll('*')].map(one => one.scrollHeight))")
        shown.set_viewport_size({"width": WIDTH, "height": max(HEIGHT, min(tall + 150, TALLEST))})
        self.taken += 1
        shown.screenshot(path=self.pictures / f"{self.taken:02}-{name}.png", animations="disabled")
        shown.set_viewport_size({"width": WIDTH, "height": HEIGHT})

    def follow(self, link: Locator) -> Page:
        """Follows a link to wherever it opens."""
        with self.page.context.expect_page() as opened:
            link.click()
        opened.value.set_default_timeout(PATIENCE_MS)
        return opened.value


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """Runs a browser with an empty profile."""
    pictures = screenshots()
    pictures.mkdir(parents=True, exist_ok=True)
    for old in pictures.glob("*.png"):
        old.unlink()
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            profile,
            executable_path=find_chromium(),
            headless=True,
            args=FLAGS,
            viewport={"width": WIDTH, "height": HEIGHT},
            service_workers="block",
        )
        page = context.pages[0]
        page.set_default_timeout(PATIENCE_MS)
        yield Browser(page, pictures)
        context.close()
