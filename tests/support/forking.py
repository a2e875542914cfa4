"""Work done in a forked child, as our own processes are made."""

import contextlib
import os
import signal
import traceback
import warnings
from collections.abc import Callable, Iterator


def fork(work: Callable[[], None]) -> int:
    """Run the work in a child; returns its pid. The child ends with code 0 only if it succeeds."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # other tests may have left threads
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


@contextlib.contextmanager
def killed_at_the_end(work: Callable[[], None]) -> Iterator[int]:
    """Run the work in a child for the time of a `with` block, and kill it then; yields its pid."""
    pid = fork(work)
    try:
        yield pid
    finally:
        os.kill(pid, signal.SIGKILL)
        assert join(pid) == [-signal.SIGKILL]


def join(*pids: int) -> list[int]:
    """Wait for children; returns their exit codes, negative for a signal."""
    return [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
