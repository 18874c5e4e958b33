"""Work that is killed: each attempt is a fork of this process, which dies before or after a step of it, or in time.

It is for scripts that have imported all that the work needs, and have started no thread.
"""

from __future__ import annotations

import os
import signal
import time
import traceback
from collections.abc import Callable
from types import ModuleType
from typing import Any

Fate = Callable[[], None]
"""What makes a fork die; it is called there before the work."""


def attempt(work: Callable[[], None], fate: Fate | None = None, kill_after: float | None = None) -> int:
    """Does something in a fork; gives how that has ended, as `os.waitpid` tells it."""
    child = os.fork()
    if not child:
        _work(work, fate)
    if kill_after:
        time.sleep(kill_after)
        os.kill(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1]


def before(owner: ModuleType | type, step: str) -> Fate:
    return lambda: setattr(owner, step, _die)


def after(owner: ModuleType | type, step: str) -> Fate:
    whole = getattr(owner, step)
    return lambda: setattr(owner, step, lambda *given: (whole(*given), _die()))


def _die(*_: Any, **__: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _work(work: Callable[[], None], fate: Fate | None) -> None:
    code = 1
    try:
        if fate:
            fate()
        work()
        code = 0
    except Exception:  # noqa: BLE001 - the process ends here, and says why
        traceback.print_exc()
    finally:
        os._exit(code)
