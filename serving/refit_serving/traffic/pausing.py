"""Waits between tries of what has failed: twice as long each time, up to a bound."""

from __future__ import annotations

import time
from dataclasses import dataclass

FIRST_SECONDS, LONGEST_SECONDS = 1.0, 60.0


@dataclass(slots=True)
class Pause:
    """What has failed, and when it is tried again."""

    about: int = 0
    """Names what has failed; 0 if nothing has."""
    again_at: float = 0.0
    """By the monotonic clock."""
    seconds: float = FIRST_SECONDS

    def holds(self, about: int) -> bool:
        """Tells whether something has failed and its time has not come yet.

        Args:
            about: What is to be tried.

        Returns:
            Whether it has to wait.
        """
        return about == self.about and time.monotonic() < self.again_at

    def begin(self, about: int) -> None:
        """Notes that something has failed.

        Args:
            about: What; a second failure of the same waits twice as long.
        """
        self.seconds = min(2 * self.seconds, LONGEST_SECONDS) if about == self.about else FIRST_SECONDS
        self.about, self.again_at = about, time.monotonic() + self.seconds

    def end(self) -> None:
        """Notes that nothing has to wait any more."""
        self.about, self.seconds = 0, FIRST_SECONDS
