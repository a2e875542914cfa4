"""Costs compared within one run: what holds here holds on any machine.

A gate says "at most N times the reference". The reference is what any look-up in Python costs at
least: one call of a function that looks a key up in a dictionary. It takes 40 to 100 ns on
the machines of our day, so 10 references are less than the microsecond that a look-up may cost.
"""

import gc
import time
from collections.abc import Callable

_REPEATS = 5
_TARGET_S = 0.02
_TABLE = {f"key-{number}": number for number in range(1000)}


def cost(work: Callable[[], object]) -> float:
    """Return the seconds of CPU of one call: the best of several repeats, each of many calls.

    What other programs take of the machine meanwhile does not count.
    """
    calls = _calls_within(work, _TARGET_S)
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        return min(_time(work, calls) for _ in range(_REPEATS)) / calls
    finally:
        if was_enabled:
            gc.enable()


def _calls_within(work: Callable[[], object], seconds: float) -> int:
    calls = 1
    while _time(work, calls) < seconds:
        calls *= 2
    return calls


def _time(work: Callable[[], object], calls: int) -> float:
    began = time.thread_time()
    for _ in range(calls):
        work()
    return time.thread_time() - began


def look_up() -> int:
    """Be the reference."""
    return _TABLE["key-500"]


def in_references(work: Callable[[], object]) -> float:
    """Return how many references one call costs, measured right beside each other."""
    return min(cost(work) / cost(look_up) for _ in range(3))


def growth(small: Callable[[], object], large: Callable[[], object]) -> float:
    """Return how many times more the large one costs than the small one."""
    return min(cost(large) / cost(small) for _ in range(3))


def gain(quick: Callable[[], object], slow: Callable[[], object]) -> float:
    """Return how many times less the quick one costs than the slow one."""
    return max(cost(slow) / cost(quick) for _ in range(3))
