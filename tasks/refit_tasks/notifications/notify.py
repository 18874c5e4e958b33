"""Delivery of notifications through Prefect's notification blocks. A failed delivery never fails a run.

An event is recorded before it is notified, so a service that does not answer causes a warning, not an error. A warning
names the block and never its contents, since the addresses of webhooks are secrets.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Thread, get_ident
from typing import TYPE_CHECKING, cast

from prefect.artifacts import create_markdown_artifact
from prefect.runtime import flow_run
from sqlalchemy.exc import SQLAlchemyError

from refit.errors import RefitError
from refit.policies.training import NotificationEvent
from refit.project import Project
from refit_tasks.ledger.record import entries, entry_once, record
from refit_tasks.presentation.markdown import artifact_key, plain
from refit_tasks.project_log import with_project

if TYPE_CHECKING:
    from prefect.blocks.core import Block

log = logging.getLogger(__name__)

TIMEOUT_SECONDS = 10.0
"""How long a run waits for one block; the message may still arrive afterwards."""
REPEAT_AFTER = timedelta(days=1)
"""The time after which the same alert or failure is notified again."""
NEWEST_NOTICES = 100
"""The number of newest notices among which those of the last day are looked for."""

_ADDRESS_LOGGERS = (
    "httpx",
    "httpcore.connection",
    "httpcore.http11",
    "httpcore.http2",
    "urllib3.connectionpool",
    "apprise",
)
"""Loggers of libraries that log the addresses they send to."""


@dataclass(frozen=True, slots=True)
class Notice:
    """A notification."""

    occasion: NotificationEvent
    subject: str
    """One short line."""
    body: str
    about: int | None = None
    """The ledger entry, which is notified once; without one, the same subject is notified once a day."""

    @property
    def once(self) -> str | None:
        """The ledger's uniqueness key of the notification; `None` without a ledger entry."""
        return None if self.about is None else f"{self.occasion} {self.about}"


def notify(definition: Project, notice: Notice, run_id: str | None = None) -> None:
    """Sends a notification once to the blocks that the project's policy names, and records it in the ledger.

    A run that is killed before the record is written sends the notification again when it is repeated.

    Args:
        definition: The project.
        notice: The notification.
        run_id: The flow run whose log gets a warning; the current one if `None`.
    """
    policy = definition.notifications
    if not policy.notifies(notice.occasion) or _is_sent(definition.name, notice):
        return
    faults = {block: fault for block in policy.blocks if (fault := _send_in_thread(block, notice))}
    sent = [block for block in policy.blocks if block not in faults]
    for block, fault in faults.items():
        _warn(definition, f"the {notice.occasion} was not sent to {block}: {fault}", run_id)
    if sent:
        facts = {"occasion": notice.occasion, "about": notice.about, "subject": notice.subject, "blocks": sent}
        record(definition.name, "notice", facts, datetime.now(UTC), once=notice.once)
        with_project(log, definition.name).info("sent the %s to %s", notice.occasion, ", ".join(sent))


def check_block(name: str) -> str | None:
    """Checks a block on the Prefect server, without sending a message.

    Args:
        name: The block's type and name, such as `slack-webhook/ml-team`.

    Returns:
        A sentence about what is wrong; `None` if messages can be sent through the block.
    """
    return _send_in_thread(name, None)


def _is_sent(project: str, notice: Notice) -> bool:
    try:
        if notice.once:
            return entry_once(project, "notice", notice.once) is not None
        recent = [
            one
            for one in entries(project, "notice", newest=NEWEST_NOTICES)
            if datetime.now(UTC) - one.at < REPEAT_AFTER
        ]
        return any(one.payload["subject"] == notice.subject for one in recent)
    except (RefitError, SQLAlchemyError):  # a broken ledger must be notified, too
        return False


def _warn(definition: Project, sentence: str, run_id: str | None) -> None:
    with_project(log, definition.name).warning("%s", sentence, extra={"flow_run_id": run_id} if run_id else None)
    if flow_run.id:
        key = artifact_key(definition.name, "notification")
        create_markdown_artifact(plain(sentence, 1_000), key=key, description="a notification was not sent")


def _send_in_thread(name: str, notice: Notice | None) -> str | None:
    """Sends in a thread that can be abandoned, since a client's timeout does not bound a response that trickles in."""
    faults: list[str | None] = []
    context = copy_context()
    thread = Thread(
        target=lambda: faults.append(context.run(_send_to_block, name, notice)), daemon=True, name=f"notify {name}"
    )
    thread.start()
    thread.join(TIMEOUT_SECONDS)
    return faults[0] if faults else f"no response within {TIMEOUT_SECONDS:.0f} seconds"


def _send_to_block(name: str, notice: Notice | None) -> str | None:
    """Sends, and describes an error by its type alone, since its text may contain the address."""
    found = False
    with _hide_addresses():
        try:
            block = _load(name)
            found = True
            return _send(block, notice)
        except Exception as error:  # noqa: BLE001 - a block of a third party may raise anything
            return _describe_failure(error, found=found)


def _load(name: str) -> Block:
    import prefect.blocks.notifications  # noqa: F401 - a block's class must be imported to be found
    from prefect.blocks.core import Block

    return cast("Block", Block.load(name))


def _send(block: Block, notice: Notice | None) -> str | None:
    from prefect.blocks.abstract import NotificationBlock

    if not isinstance(block, NotificationBlock):
        return "it is not a notification block"
    if notice:
        with block.raise_on_failure():
            sending = block.notify(body=notice.body, subject=notice.subject)
            if inspect.iscoroutine(sending):  # a custom block may be asynchronous
                asyncio.run(sending)
    return None


def _describe_failure(error: Exception, *, found: bool) -> str:
    import httpx
    from prefect.blocks.core import UnknownBlockType
    from prefect.exceptions import ObjectNotFound

    if isinstance(error.__cause__, ObjectNotFound):
        return "there is no such block on the Prefect server"
    if isinstance(error, UnknownBlockType):
        return "the package that defines its type is not installed"
    if found and isinstance(error, httpx.HTTPStatusError):
        return f"the service responded with status {error.response.status_code}"
    kind = type(error).__name__
    return f"the service rejected the message ({kind})" if found else f"the block cannot be loaded ({kind})"


@contextmanager
def _hide_addresses() -> Iterator[None]:
    """Suppresses what libraries log in this thread during the block."""
    sender = get_ident()

    def is_shown(record: logging.LogRecord) -> bool:
        return record.thread != sender and record.name != "apprise"

    loggers = [logging.getLogger(name) for name in _ADDRESS_LOGGERS]
    for logger in loggers:
        logger.addFilter(is_shown)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(is_shown)
