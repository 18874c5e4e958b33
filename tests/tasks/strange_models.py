"""Models that behave in another way where they serve than where they are judged."""

from __future__ import annotations

import os
import sys

from tasks.planted import Planted


def judging() -> bool:
    """The room in which models rehearse has no use for the module that judges them."""
    return "tasks.rehearse" in sys.modules


class Crashing(Planted):
    """Ends the process it is asked in, where that is not the one that judges it."""

    def _rows(self, X):  # noqa: N803
        if not judging():
            os._exit(3)
        return X


class Moody(Planted):
    """Gives other answers in another process."""

    def _answers(self, answers, X):  # noqa: ARG002, N803
        return answers if judging() else answers[::-1]
