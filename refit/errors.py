"""Every error that Refit raises on purpose, in one tree.

A verdict is a value and a fault is an exception: a rejected challenger is not here. None of these is ever
retried, since trying again cannot help; what foreign libraries raise (sockets, SQL) may be. Each message is one
sentence that says what is wrong, shows the value, and names the fix.

::

    RefitError
    ├── ProjectError            what a person wrote in a project file is wrong
    │   ├── UnknownProject          no project file defines that name
    │   └── BrokenProject           a project file cannot be imported, or defines no valid project
    ├── DataError               the rows are not fit for the purpose
    │   ├── LoadFailed              the project's load could not give its rows
    │   ├── NoNewData               nothing has arrived since the last retrain
    │   ├── NotEnoughData           too few mature rows to train or to judge on
    │   └── ContractViolation       a critical rule about the whole batch is broken
    ├── ModelError              a model cannot be fitted, stored, loaded or judged
    │   ├── TrainingFailed          the project's estimator could not be built or fitted
    │   ├── UntrustedModel          a stored model holds a type outside the allow-list
    │   ├── LeakyHoldout            a model was trained on rows that it would be judged on
    │   └── CannotReproduce         what a model was made from is gone, or not what the record says
    ├── UnusableTime            an instant that was asked for has no time zone, or has not come
    ├── RetrainRefused          a retrain may not begin: one is under way, or the budget is used up
    ├── PromotionError          a promotion is refused
    │   ├── StaleChampion           the champion changed since the challenger was compared with it
    │   └── NotApproved             a person has to approve it first, or has refused it
    └── StateError              Refit's own state cannot be read or written
        └── LedgerBroken            the ledger's hash chain does not hold

Faults in one line, for the log and for those who ask who answers.
"""

from __future__ import annotations


class RefitError(Exception):
    """The root of the tree; its message is for the person who ran the command."""


class ProjectError(RefitError):
    """What a person wrote in a project file is wrong."""


class UnknownProject(ProjectError):
    """No project file defines that name."""


class BrokenProject(ProjectError):
    """A project file cannot be imported, or defines no valid project."""


class DataError(RefitError):
    """The rows are not fit for the purpose."""


class LoadFailed(DataError):
    """The project's load could not give its rows."""


class NoNewData(DataError):
    """Nothing has arrived since the last retrain."""


class NotEnoughData(DataError):
    """Too few mature rows to train or to judge on."""


class ContractViolation(DataError):
    """A critical rule about the whole batch is broken; nothing was ingested and nothing is trained."""


class ModelError(RefitError):
    """A model cannot be fitted, stored, loaded or judged."""


class TrainingFailed(ModelError):
    """The project's estimator could not be built or fitted."""


class UntrustedModel(ModelError):
    """A stored model holds a type outside the allow-list."""


class LeakyHoldout(ModelError):
    """A model was trained on rows that it would be judged on."""


class CannotReproduce(ModelError):
    """What a model was made from is gone, or not what the record says."""


class UnusableTime(RefitError, ValueError):
    """An instant that was asked for has no time zone, or has not come."""


class RetrainRefused(RefitError):
    """A retrain may not begin: one is under way, or the budget is used up."""


class PromotionError(RefitError):
    """A promotion is refused."""


class StaleChampion(PromotionError):
    """The champion changed since the challenger was compared with it."""


class NotApproved(PromotionError):
    """A person has to approve the promotion first, or has refused it."""


class StateError(RefitError):
    """Refit's own state cannot be read or written."""


class LedgerBroken(StateError):
    """The ledger's hash chain does not hold."""


LONGEST = 500
"""The most characters of a message: what a project's code raises may be long."""


def describe_error(fault: BaseException) -> str:
    """Says what was wrong, in one line of 500 characters at most before the kind of the error.

    Args:
        fault: What was raised.

    Returns:
        The sentence of an error of ours; of another one its kind and its message.

    Example:
        >>> describe_error(StateError("the disk is full: make room"))
        'the disk is full: make room'
        >>> describe_error(KeyError("docks"))
        "KeyError: 'docks'"
        >>> describe_error(TimeoutError())
        'TimeoutError'
    """
    line = " ".join(str(fault).split())[:LONGEST]
    return line if isinstance(fault, RefitError) else f"{type(fault).__name__}: {line}".rstrip(": ")
