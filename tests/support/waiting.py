"""Waiting for what another process is about to do: poll with a deadline, never sleep and hope."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
_STEP_S = 0.02
PATIENCE_S = 20.0
"""Enough for a loaded machine; nothing waits this long unless it is broken."""


def wait_until(
    check: Callable[[], T | None], what: str, timeout_s: float = PATIENCE_S, step_s: float = _STEP_S
) -> T:
    """Return the first true answer of `check`, which is asked again after each step.

    Raises:
        TimeoutError: there was none in time; the message says `what` was awaited.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        answer = check()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {timeout_s:g} s in vain: {what}")
        time.sleep(step_s)
