"""When a project's flows run, how they are deployed, and who hears of what came of them."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any, Literal
from zoneinfo import available_timezones

from pydantic import AfterValidator, Field, field_validator

from refit.policies.training import Policy

CRON_FIELDS = 5
"""Minute, hour, day of the month, month, day of the week."""

SHORTEST = timedelta(seconds=10)
"""A run that starts more often than this would still be busy when the next one is due."""


def _rhythm(given: str | timedelta) -> str | timedelta:
    if isinstance(given, timedelta):
        if given < SHORTEST:
            raise ValueError(f"a schedule's interval is at least {SHORTEST.total_seconds():.0f} seconds")
        return given
    if not given.startswith("@") and len(given.split()) != CRON_FIELDS:
        raise ValueError(f"{given!r} is no cron line: it has five fields, such as '0 3 * * 1' for Mondays at three")
    return given


Rhythm = Annotated[str | timedelta, AfterValidator(_rhythm)]
"""A cron line (minute, hour, day of the month, month, day of the week), or how long from one run to the next."""


class Schedule(Policy):
    """When the project's flows run by themselves; never, by default."""

    retrain: Rhythm | None = None
    """When to train a challenger, whatever the monitor says; most projects leave that to the monitor."""
    monitor: Rhythm | None = None
    """When to look at the champion and decide."""
    score: Rhythm | None = None
    """When to score what has come in since the last time."""
    timezone: str = "UTC"
    """The zone that cron lines are read in."""

    @field_validator("timezone")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in available_timezones():
            raise ValueError(f"{name!r} is no time zone such as 'Europe/Berlin'")
        return name


class DeploymentPolicy(Policy):
    """How the project's flows are deployed to a Prefect server."""

    tags: tuple[str, ...] = ()
    """Tags of the deployments and their runs, beside `refit` and the project's name."""
    when_busy: Literal["refuse", "queue"] = "refuse"
    """What happens to a retrain that is started while another one of the project runs: it is cancelled with a sentence,
    or waits for its turn."""
    work_queue: str | None = None
    """The queue of the work pool; the pool's default one, if left out."""
    job_variables: dict[str, Any] = Field(default_factory=dict)
    """What the project's jobs need beyond the work pool's template, such as `{"image": ..., "env": {...}}`. Everybody
    who can see the Prefect server can read them: secrets belong in the worker's environment."""


Occasion = Literal["promotion", "rejection", "approval", "alert", "rollback", "failure"]
"""What may be told: a promotion, a rejected challenger, one that waits for approval, an alert of the monitor, a
champion taken back, a run that failed."""


class NotificationPolicy(Policy):
    """Who hears of what came of a run; nobody, by default."""

    blocks: tuple[str, ...] = ()
    """Prefect notification blocks by type and name, such as `slack-webhook/ml-team`; their addresses and secrets stay
    with Prefect."""
    on: tuple[Occasion, ...] = ("promotion", "approval", "alert", "rollback", "failure")
    """What is told. A rejected challenger is business as usual, so that it is left out unless named."""

    @field_validator("blocks")
    @classmethod
    def _named(cls, blocks: tuple[str, ...]) -> tuple[str, ...]:
        for block in blocks:
            if not re.fullmatch(r"[a-z0-9-]+/[a-zA-Z0-9-]+", block):
                raise ValueError(f"{block!r} is no Prefect block such as 'slack-webhook/ml-team': type, slash, name")
        return blocks

    def tells(self, occasion: Occasion) -> bool:
        """Whether somebody is to hear of that.

        Args:
            occasion: What has happened.

        Returns:
            True if there is a block to tell and the occasion is one that is told.
        """
        return bool(self.blocks) and occasion in self.on
