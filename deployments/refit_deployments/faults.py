"""How a fault becomes one sentence that names the fix."""

from __future__ import annotations

_FULL = ("No space left on device", "database or disk is full")
"""How engines that have errors of their own report a full disk."""

_REFUSED = "ParameterTypeError"
"""What Prefect raises where a flow is called with a value outside its limits; named, since its import takes seconds."""

_UNKNOWN_HERE = "PrefectHTTPStatusError"
"""What Prefect raises where its server refuses; a 401 is about the password."""

_OTHER_MLFLOW = "Detected out-of-date database schema"
"""How MLflow reports a database of another version; it has no error of its own for that."""
_THEIRS = "whoever runs the server has to back it up and to run `mlflow db upgrade`"


def sentence(fault: BaseException) -> str:
    """Says what went wrong and what to do about it.

    Args:
        fault: What a command raised.

    Returns:
        One sentence; for what nobody foresaw, the type and the message, and how to see the traceback.
    """
    if isinstance(fault, KeyboardInterrupt):
        return "stopped by you: run the same command again to go on"
    for cause in _causes(fault):
        if known := _known(cause):
            return " ".join(known.split())
    return f"{type(fault).__name__}: {' '.join(str(fault).split())[:300]} (--debug shows where)"


def _known(cause: BaseException) -> str | None:
    from refit.errors import RefitError
    from refit_infra.settings import Settings
    from refit_tasks.errors import fault_of

    if isinstance(cause, RefitError):
        return str(cause)
    if type(cause).__name__ == _REFUSED:
        return f"what was asked for cannot be: {str(cause).partition(':')[2].strip().removeprefix('- ')}"
    if type(cause).__name__ == _UNKNOWN_HERE and "'401 Unauthorized'" in str(cause):
        return "the Prefect server asks for another password: set PREFECT_API_AUTH_STRING to its NAME:PASSWORD"
    if _OTHER_MLFLOW in str(cause):
        database = Settings().mlflow_database
        way = (
            f"install that one, or run `refit backup DIRECTORY`, then `mlflow db upgrade sqlite:///{database}`"
            if database
            else _THEIRS
        )
        return f"MLflow's database is of another version of MLflow: {way}"
    if any(words in str(cause) for words in _FULL):
        return "REFIT_HOME has no space left: free some on its disk and run again"
    fault = fault_of(cause, "REFIT_HOME")
    return f"{getattr(cause, 'filename', None) or 'REFIT_HOME'} {fault}" if fault else None


def _causes(fault: BaseException) -> list[BaseException]:
    """The fault and what led to it, the outermost first."""
    chain: list[BaseException] = []
    link: BaseException | None = fault
    while link is not None and link not in chain:
        chain.append(link)
        link = link.__cause__ or link.__context__
    return chain
