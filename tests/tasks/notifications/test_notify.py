"""People are told through real blocks of a real Prefect server; whatever becomes of it, nothing else is harmed."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from prefect import flow
from prefect.blocks.abstract import NotificationBlock
from prefect.blocks.notifications import SlackWebhook
from prefect.blocks.system import Secret
from prefect.states import Crashed, Failed

from refit import Project
from refit.errors import LoadFailed, RetrainRefused
from refit.policies.training import NotificationPolicy
from refit_tasks.ledger.record import entries, record, verify_ledger
from refit_tasks.notifications import notify as module
from refit_tasks.notifications.messages import LONGEST_LINE, format_body, notify_failure
from refit_tasks.notifications.notify import Notice, check_block, notify
from refit_tasks.reporting.entry_story import describe_entry
from tests.support.webhook import SECRET, Webhook, webhook

NOTICE = Notice("promotion", "rentals: version 3 promoted over version 2", "It passed all rules.", about=41)


@pytest.fixture
def hook(prefect_server: None) -> Iterator[Webhook]:
    with webhook() as running:
        yield running


def telling(project: Project, *blocks: str, **policy: object) -> Project:
    return project.model_copy(update={"notifications": NotificationPolicy(blocks=blocks, **policy)})


def told(log: pytest.LogCaptureFixture) -> list[str]:
    return [
        one.getMessage()
        for one in log.records
        if one.name == "refit_tasks.notifications.notify" and one.levelno == logging.WARNING
    ]


def test_who_is_named_hears_it_once_and_that_is_on_record(hook: Webhook, rentals: Project) -> None:
    project = telling(rentals, hook.save_block("team"))
    for _ in range(2):
        notify(project, NOTICE)
    assert hook.bodies == [{"subject": NOTICE.subject, "body": NOTICE.body}]
    [entry] = entries("rentals")
    assert entry.kind == "notice"
    assert describe_entry(entry)[-1] == (
        "A notification of the promotion was sent to custom-webhook/team: rentals: version 3 promoted over version 2. "
        "Its subject: refit why 41."
    )
    verify_ledger()
    notify(project, Notice("promotion", "rentals: version 4 promoted over version 3", "", about=43))
    assert len(hook.bodies) == 2


@pytest.mark.slow
def test_an_alert_that_stands_is_told_once_a_day(hook: Webhook, rentals: Project) -> None:
    project, alert = telling(rentals, hook.save_block("team")), Notice("alert", "rentals: alert", "The score fell.")
    past = {"occasion": "alert", "about": None, "subject": alert.subject, "blocks": ["custom-webhook/team"]}
    record("rentals", "notice", past, datetime.now(UTC) - timedelta(hours=25))
    for _ in range(3):
        notify(project, alert)
    assert hook.subjects == ["rentals: alert"]
    notify(project, Notice("alert", "rentals: another alert", "Rows are missing."))
    assert len(hook.bodies) == 2


def test_nobody_is_told_unless_somebody_is_named_and_the_occasion_too(hook: Webhook, rentals: Project) -> None:
    block = hook.save_block("team")
    notify(rentals, NOTICE)
    notify(telling(rentals, block, on=("rollback",)), NOTICE)
    notify(telling(rentals, block), Notice("rejection", "rentals: version 3 rejected", "", about=41))
    assert hook.bodies == []
    assert entries("rentals") == []


QUIET = """
import sys
from sklearn.dummy import DummyRegressor
from refit import Project
from refit_tasks.notifications.notify import Notice, notify
before = set(sys.modules)
rentals = Project(name="rentals", kind="regression", target="y", timestamp="t", load=list, build=DummyRegressor)
notify(rentals, Notice("promotion", "rentals: version 1 promoted", "", about=1))
print(sorted(name for name in set(sys.modules) - before if name.startswith(("prefect", "apprise"))))
"""


@pytest.mark.slow
def test_without_a_block_nothing_is_imported(home) -> None:
    run = subprocess.run([sys.executable, "-c", QUIET], capture_output=True, text=True, check=True, env={**os.environ})
    assert run.stdout.strip() == "[]"
    assert not (home / "ledger.db").exists()


class Pigeon(NotificationBlock):
    """A block that somebody has written, asynchronous as Prefect declares them."""

    _block_type_slug = "pigeon"
    town: str

    async def notify(self, body: str, subject: str | None = None) -> None:
        raise RuntimeError(f"no pigeon flies to {self.town} with {subject}: {body}")


@pytest.mark.slow
# apprise 1.13, which Prefect sends through, imports a module that Python 3.11 deprecates
@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
def test_each_thing_that_can_be_wrong_is_one_sentence_without_the_address(
    hook: Webhook, rentals: Project, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TIMEOUT_SECONDS", 3.0)
    Secret(value=SECRET).save("team", overwrite=True)
    Pigeon(town=SECRET).save("loft", overwrite=True)
    SlackWebhook(url=f"json://127.0.0.1:{hook.port}/{SECRET}").save("team", overwrite=True)
    refusing = hook.save_block("refusing")
    hook.status = 500
    caplog.set_level(logging.DEBUG)
    caplog.clear()
    blocks = ("slack-webhook/nobody", "secret/team", "pigeon/loft", refusing, "slack-webhook/team")
    notify(telling(rentals, *blocks), NOTICE)
    assert told(caplog) == [
        "rentals: the promotion was not sent to slack-webhook/nobody: there is no such block on the Prefect server",
        "rentals: the promotion was not sent to secret/team: it is not a notification block",
        "rentals: the promotion was not sent to pigeon/loft: the service rejected the message (RuntimeError)",
        "rentals: the promotion was not sent to custom-webhook/refusing: the service responded with status 500",
        "rentals: the promotion was not sent to slack-webhook/team: the service rejected the message "
        "(NotificationError)",
    ]
    assert len(hook.bodies) == 2
    hook.answering.clear()
    notify(telling(rentals, refusing), NOTICE)
    assert not hook.answering.is_set(), "the service has not answered, and the run goes on"
    assert told(caplog)[-1].endswith("no response within 3 seconds")
    assert SECRET not in caplog.text
    assert entries("rentals") == []


def test_one_service_that_is_away_keeps_nobody_else_from_hearing(hook: Webhook, rentals: Project) -> None:
    with webhook() as gone:
        away = gone.save_block("away")
    notify(telling(rentals, away, hook.save_block("team")), NOTICE)
    assert hook.subjects == [NOTICE.subject]
    assert entries("rentals")[0].payload["blocks"] == ["custom-webhook/team"]


def test_a_block_can_be_looked_up_without_telling_anybody(hook: Webhook) -> None:
    assert check_block(hook.save_block("team")) is None
    assert check_block("slack-webhook/nobody") == "there is no such block on the Prefect server"
    assert hook.bodies == []


def test_the_words_call_nobody_and_tell_no_password() -> None:
    body = format_body(["<!channel> @here: postgresql://me:pw@db/rows\nis away", "", "x" * 10_000], None).split("\n")
    assert body[0] == "<\u200b!channel> @\u200bhere: postgresql://***@db/rows is away"
    assert len(body) == 2
    assert len(body[1]) == LONGEST_LINE


@flow(name="retrain")
def run_of(project: str) -> None:
    raise NotImplementedError


@pytest.mark.parametrize(
    ("state", "parent", "subject", "said"),
    [
        (Failed(data=LoadFailed("no rows: look")), None, "rentals: retrain failed (LoadFailed)", "no rows: look"),
        (Failed(data=ZeroDivisionError(), message="1/0"), None, "rentals: retrain failed (ZeroDivisionError)", "1/0"),
        (Crashed(message="its process died"), None, "rentals: retrain crashed", "its process died"),
        (Failed(data=LoadFailed("no rows")), "a-monitor", None, ""),
        (Failed(data=RetrainRefused("one is under way")), None, None, ""),
    ],
)
def test_a_run_that_failed_is_told_of(
    state: object, parent: str | None, subject: str | None, said: str, hook: Webhook, tmp_path, monkeypatch
) -> None:
    hook.save_block("team")
    (tmp_path / "rentals.py").write_text(
        "from refit import Project\nfrom refit.policies.training import NotificationPolicy\n"
        "project = Project(name='rentals', kind='regression', target='y', timestamp='t', load=list, build=list,\n"
        "    notifications=NotificationPolicy(blocks=('custom-webhook/team',)))\n"
    )
    monkeypatch.setenv("REFIT_PROJECTS", str(tmp_path))
    run = SimpleNamespace(id="0", parameters={"project": "rentals"}, parent_task_run_id=parent)
    notify_failure(run_of, run, state)
    assert hook.subjects == ([subject] if subject else [])
    assert all(body["body"].startswith(said) for body in hook.bodies)
