"""Messages to people, through Prefect's notification blocks. No run depends on whether they arrive.

What has happened is on record before anybody is told, so that a service that does not answer is a warning and not a
fault. A warning names the block and never what is in it: addresses of webhooks are secrets.
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
"""So long a run waits for one block; its message may still arrive afterwards."""
REPEAT_AFTER = timedelta(days=1)
"""An alert that stands, or a run that fails each time, is told once in so long."""
NEWEST_NOTICES = 100
"""Among so many notices those of a day are looked for."""

_ADDRESS_LOGGERS = (
    "httpx",
    "httpcore.connection",
    "httpcore.http11",
    "httpcore.http2",
    "urllib3.connectionpool",
    "apprise",
)
"""Loggers of libraries that write the addresses they send to."""


@dataclass(frozen=True, slots=True)
class Notice:
    """What people are told."""

    occasion: NotificationEvent
    subject: str
    """One short line."""
    body: str
    about: int | None = None
    """The ledger entry that it is about, of which is told once; without one, the same subject is told once a day."""

    @property
    def once(self) -> str | None:
        """What must not be told twice, in the ledger's words."""
        return None if self.about is None else f"{self.occasion} {self.about}"


def notify(definition: Project, notice: Notice, run_id: str | None = None) -> None:
    """Tells the people that a project's policy names, once, and notes in the ledger that they were told.

    A run that is killed before that note is written, and repeated, tells once more: better twice than never.

    Args:
        definition: The project.
        notice: What to tell.
        run_id: The flow run that a warning belongs to; the one that this is called in, if `None`.
    """
    policy = definition.notifications
    if not policy.notifies(notice.occasion) or _is_sent(definition.name, notice):
        return
    faults = {block: fault for block in policy.blocks if (fault := _send_in_thread(block, notice))}
    told = [block for block in policy.blocks if block not in faults]
    for block, fault in faults.items():
        _warn(definition, f"{block} was not told of the {notice.occasion}: {fault}", run_id)
    if told:
        facts = {"occasion": notice.occasion, "about": notice.about, "subject": notice.subject, "blocks": told}
        record(definition.name, "notice", facts, datetime.now(UTC), once=notice.once)
        with_project(log, definition.name).info("told %s of the %s", ", ".join(told), notice.occasion)


def check_block(name: str) -> str | None:
    """Looks a block up on the Prefect server, without telling anybody anything.

    Args:
        name: Its type and name, such as `slack-webhook/ml-team`.

    Returns:
        What is wrong with it, in words; `None` if messages can be sent through it.
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
    except (RefitError, SQLAlchemyError):  # that is what people have to hear of
        return False


def _warn(definition: Project, sentence: str, run_id: str | None) -> None:
    with_project(log, definition.name).warning("%s", sentence, extra={"flow_run_id": run_id} if run_id else None)
    if flow_run.id:
        key = artifact_key(definition.name, "notification")
        create_markdown_artifact(plain(sentence, 1_000), key=key, description="somebody was not told")


def _send_in_thread(name: str, notice: Notice | None) -> str | None:
    """Sends in a thread that can be left behind: no timeout of a client bounds an answer that comes byte by byte."""
    faults: list[str | None] = []
    context = copy_context()
    thread = Thread(
        target=lambda: faults.append(context.run(_send_to_block, name, notice)), daemon=True, name=f"tell {name}"
    )
    thread.start()
    thread.join(TIMEOUT_SECONDS)
    return faults[0] if faults else f"no answer within {TIMEOUT_SECONDS:.0f} seconds"


def _send_to_block(name: str, notice: Notice | None) -> str | None:
    """Sends, and says what is wrong by the kind of an error alone: its text may hold the address."""
    found = False
    with _hide_addresses():
        try:
            block = _load(name)
            found = True
            return _send(block, notice)
        except Exception as error:  # noqa: BLE001 - the door to other people's services, which may raise anything
            return _describe_failure(error, found=found)


def _load(name: str) -> Block:
    import prefect.blocks.notifications  # noqa: F401 - a block's class is found once it is imported
    from prefect.blocks.core import Block

    return cast("Block", Block.load(name))


def _send(block: Block, notice: Notice | None) -> str | None:
    from prefect.blocks.abstract import NotificationBlock

    if not isinstance(block, NotificationBlock):
        return "it is no notification block"
    if notice:
        with block.raise_on_failure():
            sending = block.notify(body=notice.body, subject=notice.subject)
            if inspect.iscoroutine(sending):  # as the blocks that people write may be
                asyncio.run(sending)
    return None


def _describe_failure(error: Exception, *, found: bool) -> str:
    import httpx
    from prefect.blocks.core import UnknownBlockType
    from prefect.exceptions import ObjectNotFound

    if isinstance(error.__cause__, ObjectNotFound):
        return "there is no such block on the Prefect server"
    if isinstance(error, UnknownBlockType):
        return "the package with its type is not installed here"
    if found and isinstance(error, httpx.HTTPStatusError):
        return f"its service answered with status {error.response.status_code}"
    kind = type(error).__name__
    return f"its service did not take the message ({kind})" if found else f"it could not be loaded ({kind})"


@contextmanager
def _hide_addresses() -> Iterator[None]:
    """Drops what libraries log in this thread, for as long as it sends."""
    sender = get_ident()

    def unsaid(record: logging.LogRecord) -> bool:
        return record.thread != sender and record.name != "apprise"

    loggers = [logging.getLogger(name) for name in _ADDRESS_LOGGERS]
    for logger in loggers:
        logger.addFilter(unsaid)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(unsaid)
