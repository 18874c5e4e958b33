"""How fast one asker may go on: so many requests at once, and as many in each second after that."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Pace:
    """A bucket of tokens: it is full at first, a request takes one, and time fills it again."""

    per_second: float
    _left: float = field(default=-1.0, init=False)
    _at: float = field(default=0.0, init=False)

    def wait(self, now: float) -> float:
        """Takes a token.

        Args:
            now: A clock that never goes back, in seconds.

        Returns:
            0 if there was one, else the seconds until there will be.

        Example:
            >>> pace = Pace(per_second=2)
            >>> [pace.wait(now) for now in (0.0, 0.0, 0.0, 0.25, 0.5)]
            [0.0, 0.0, 0.5, 0.25, 0.0]
        """
        full = max(1.0, self.per_second)
        grown = full if self._left < 0 else self._left + (now - self._at) * self.per_second
        self._left, self._at = min(full, grown), now
        if self._left < 1.0:
            return (1.0 - self._left) / self.per_second
        self._left -= 1.0
        return 0.0
