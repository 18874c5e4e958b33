"""Models that behave in another way where they serve than where they are judged."""

from __future__ import annotations

import os
import sys
import time

from refit_tasks.simulation.faulty_models import FaultyModel


def judging() -> bool:
    """The sandbox of serving checks does not import the module that runs them."""
    return "refit_tasks.evaluation.serving_check" in sys.modules


class Crashing(FaultyModel):
    """Ends the process it is asked in, where that is not the one that judges it."""

    def _rows(self, X):  # noqa: N803
        if not judging():
            os._exit(3)
        return X


class Moody(FaultyModel):
    """Gives other answers in another process."""

    def _answers(self, answers, X):  # noqa: ARG002, N803
        return answers if judging() else answers[::-1]


class Chatty(FaultyModel):
    """Prints numbers while it answers."""

    def _rows(self, X):  # noqa: N803
        os.write(1, b"7\n")
        print(9, flush=True)  # noqa: T201
        return X


class Sleepy(FaultyModel):
    """Never comes to an end, where it is not asked by the process that judges it."""

    def _rows(self, X):  # noqa: N803
        if not judging():
            time.sleep(600)
        return X


class Terse(FaultyModel):
    """Leaves out the last answer, where it is not asked by the process that judges it."""

    def _answers(self, answers, X):  # noqa: ARG002, N803
        return answers if judging() or len(answers) == 1 else answers[:-1]
