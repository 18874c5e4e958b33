"""What `refit compare` found, in the JSON keys that other programs rely on, and in a line for a person."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from refit.gate.online_comparison import Contest
from refit.windows import Window

Role = Literal["shadow", "canary"]


@dataclass(frozen=True, slots=True)
class Met:
    """A challenger and the champion, by one way in which they met."""

    role: Role
    """`shadow`: both answered the same rows; `canary`: each its own."""
    answered: int
    """Rows that the challenger answered, and for a shadow the champion, too; each key once, by its newest answer."""
    mature: int
    """Those of them whose label delay has passed."""
    labelled: int
    """Those of the mature ones whose labels are there."""
    metric: str | None
    """The scorer's name; `None` where nothing can be scored."""
    contest: Contest | None
    """`None` where nothing can be scored."""
    withheld: str | None = None
    """Why not, in a sentence."""

    @property
    def share(self) -> float | None:
        """The share of the mature rows whose labels are there; `None` without a mature row."""
        return self.labelled / self.mature if self.mature else None

    @property
    def words(self) -> str:
        """Says what came of it in a few words."""
        found = self.contest
        if found is None or found.interval is None or found.difference is None:
            return f"as a {self.role} not yet known, {self.labelled:,} of {self.mature:,} mature rows have a label"
        low, high = found.interval
        return (
            f"as a {self.role} {found.verdict}, {self.metric} {found.difference:+.3g} ({low:+.3g} to {high:+.3g}) "
            f"on {self.labelled:,} labelled rows"
        )

    def as_json(self) -> dict[str, Any]:
        """Gives JSON values."""
        found = self.contest
        return {
            "answered": self.answered,
            "mature": self.mature,
            "labelled": self.labelled,
            "labelled_share": None if self.share is None else round(self.share, 6),
            "metric": self.metric,
            "challenger": found.challenger if found else None,
            "champion": found.champion if found else None,
            "difference": found.difference if found else None,
            "interval": list(found.interval) if found and found.interval else None,
            "blocks": found.blocks if found else 0,
            "verdict": found.verdict if found else "not yet known",
            "sentence": found.sentence if found else self.withheld,
        }


@dataclass(frozen=True, slots=True)
class Compared:
    """How the challenger of a project does beside its champion."""

    project: str
    as_of: datetime
    """The instant looked from, UTC."""
    window: Window
    """When the rows were answered."""
    champion: int
    """Its version."""
    challenger: int
    """Its version."""
    role: Role
    """What the project's policy has it do now."""
    share: float | None
    """The share of the requests that a canary answers."""
    looked_at: float
    """The share of the keys that was looked at: of many rows some stand for all."""
    met: tuple[Met, ...]
    """The ways in which they met; none where they have not."""

    def as_json(self) -> dict[str, Any]:
        """Gives the keys of `refit compare --json`."""
        return {
            "project": self.project,
            "as_of": self.as_of.isoformat(),
            "window": {"start": self.window.start.isoformat(), "end": self.window.end.isoformat()},
            "champion": {"version": self.champion},
            "challenger": {"version": self.challenger, "role": self.role, "share": self.share},
            "looked_at": self.looked_at,
            "comparisons": {one.role: one.as_json() for one in self.met},
        }

    @property
    def words(self) -> str:
        """Says all of it in a line."""
        doing = "shadows" if self.role == "shadow" else f"answers {self.share:.0%} of the requests"
        told = "; ".join(one.words for one in self.met) or "no row was answered by it yet"
        return f"version {self.challenger} {doing}: {told}"
