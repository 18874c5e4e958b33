"""What keeping order finds: leftovers of a crash, and what retention lets go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal[
    "run",
    "turn",
    "decision",
    "training",
    "model",
    "version",
    "alias",
    "artifacts",
    "staging",
    "table",
    "draft",
    "ledger",
    "erasure",
]
"""Where something was found."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found, and what is done about it."""

    kind: Kind
    name: str
    """Names the thing: an id, a path, a version."""
    action: str
    """What is done about it, as a past participle: `removed`, `closed`, `recorded`."""
    sentence: str
    """What was found and done, for a person."""
