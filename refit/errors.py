"""The errors that Refit raises, in one tree, and their one-line description.

A verdict is a value and a fault is an exception, so there is no error for a rejected challenger. None of these errors
is retried, since a second attempt would fail in the same way; errors of other libraries (sockets, SQL) may be. Each
message is one sentence that says what is wrong, shows the value and names the fix.

::

    RefitError
    ├── ProjectError            a mistake in a project file
    │   ├── UnknownProject          no project file defines that name
    │   └── BrokenProject           a project file cannot be imported, or defines no valid project
    ├── DataError               the rows are not usable
    │   ├── LoadFailed              the project's load failed
    │   ├── NoNewData               no rows have arrived since the last retrain
    │   ├── NotEnoughData           too few mature rows to train or evaluate on
    │   └── ContractViolation       a critical rule about the whole batch is broken
    ├── ModelError              a model cannot be fitted, stored, loaded or evaluated
    │   ├── TrainingFailed          the project's estimator could not be built or fitted
    │   ├── UntrustedModel          a stored model holds a type outside the allow-list
    │   ├── LeakyHoldout            a model was trained on rows that it would be evaluated on
    │   └── CannotReproduce         the inputs of a model are gone, or differ from the record
    ├── UnusableTime            a given time has no time zone or lies in the future
    ├── RetrainRefused          a retrain is already running, or the budget is used up
    ├── PromotionError          a promotion is refused
    │   ├── StaleChampion           the champion changed since the challenger was compared with it
    │   └── NotApproved             a person has not approved it yet, or has refused it
    └── StateError              Refit's own state cannot be read or written
        └── LedgerBroken            the ledger's hash chain is broken
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

MAX_CHARACTERS = 500
"""The most characters of a described error."""


class RefitError(Exception):
    """The root of the tree; its message is written for the person who ran the command."""


class ProjectError(RefitError):
    """A mistake in a project file."""


class UnknownProject(ProjectError):
    """No project file defines that name."""


class BrokenProject(ProjectError):
    """A project file cannot be imported, or defines no valid project."""


class DataError(RefitError):
    """The rows are not usable."""


class LoadFailed(DataError):
    """The project's load failed."""


class NoNewData(DataError):
    """No rows have arrived since the last retrain."""


class NotEnoughData(DataError):
    """Too few mature rows to train or evaluate on."""


class ContractViolation(DataError):
    """A critical rule about the whole batch is broken; nothing is ingested and no model is trained."""


class ModelError(RefitError):
    """A model cannot be fitted, stored, loaded or evaluated."""


class TrainingFailed(ModelError):
    """The project's estimator could not be built or fitted."""


class UntrustedModel(ModelError):
    """A stored model holds a type outside the allow-list."""


class LeakyHoldout(ModelError):
    """A model was trained on rows that it would be evaluated on."""


class CannotReproduce(ModelError):
    """The inputs of a model are gone, or differ from the record."""


class UnusableTime(RefitError, ValueError):
    """A given time has no time zone or lies in the future."""


class RetrainRefused(RefitError):
    """A retrain is already running, or the budget is used up."""


class PromotionError(RefitError):
    """A promotion is refused."""


class StaleChampion(PromotionError):
    """The champion changed since the challenger was compared with it."""


class NotApproved(PromotionError):
    """A person has not approved the promotion yet, or has refused it."""


class StateError(RefitError):
    """Refit's own state cannot be read or written."""


class LedgerBroken(StateError):
    """The ledger's hash chain is broken."""


def suggest_name(name: str, known: Sequence[str]) -> str:
    """Suggests the known name closest to an unknown one, for the end of an error message.

    Args:
        name: The unknown name.
        known: The known names.

    Returns:
        A question with the closest name, or a list of at most 20 known names if none is close.

    Example:
        >>> suggest_name("wieght", ["id", "weight"]), suggest_name("y", [])
        ("did you mean 'weight'?", 'known are: none')
    """
    likely = get_close_matches(name, known, n=1)
    return f"did you mean {likely[0]!r}?" if likely else f"known are: {', '.join(known[:20]) or 'none'}"


def message_line(fault: BaseException) -> str:
    """Returns the message of an error in one line.

    Args:
        fault: The error.

    Returns:
        The message without line breaks, cut to 500 characters.
    """
    return " ".join(str(fault).split())[:MAX_CHARACTERS]


def describe_error(fault: BaseException) -> str:
    """Describes an error in one line.

    Args:
        fault: The error.

    Returns:
        The message, cut to 500 characters; for errors that are not Refit's own, preceded by the error's type.
    """
    line = message_line(fault)
    return line if isinstance(fault, RefitError) else f"{type(fault).__name__}: {line}".rstrip(": ")
