"""Processes that our children started and left behind; the kernel gives them to us."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable

from only1mcp.transports.stdio import descendants

_EVERY_S = 1.0


async def reap_orphans(ours: Callable[[], set[int]]) -> None:
    """Reap adopted processes as they end; our own children are reaped by who started them."""
    while True:
        await asyncio.sleep(_EVERY_S)
        with contextlib.suppress(ChildProcessError):
            _reap(ours())


def _reap(ours: set[int]) -> None:
    while True:
        ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if ended is None or ended.si_pid in ours:
            return
        os.waitpid(ended.si_pid, os.WNOHANG)


def kill_descendants() -> None:
    """End every process below this one, however far it went to hide."""
    while below := descendants(os.getpid()):
        for pid in below:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(-1, 0)
