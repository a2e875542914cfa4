"""Children that are forks of the test's own process."""

import os
import traceback
from collections.abc import Callable


def in_child(work: Callable[[], object]) -> int:
    """Do something in a child, and return its pid; it exits with 1 if that fails.

    Without fail: it must never come back into the test, or a second run of all tests would go on.
    """
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        work()
        code = 0
    except BaseException:  # noqa: BLE001 - its exit code tells the test
        traceback.print_exc()
    finally:
        os._exit(code)
