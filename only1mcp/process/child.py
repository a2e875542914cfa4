"""Runs one child process: event loop, heartbeat, signals, and the lifeline to the supervisor."""

import asyncio
import contextlib
import faulthandler
import logging
import os
import resource
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from typing import NoReturn

import orjson
import uvloop

from only1mcp.config.settings import Settings
from only1mcp.memory.processes import State
from only1mcp.observability.logs import setup_logging
from only1mcp.process import prctl
from only1mcp.process.bells import heard
from only1mcp.process.context import Context
from only1mcp.process.heap import Heap
from only1mcp.process.loop_watch import LoopWatch
from only1mcp.process.pages import drop

_log = logging.getLogger(__name__)
HEARTBEAT_S = 0.25
_FIRST_DROP_S, _DROP_S = 3.0, 10.0
"""How often what a process used once, as in its start, is dropped; what it uses comes back."""
Follow = Callable[[Settings], None]
"""Has a process work by other settings from now on."""


def _for_nobody(places: int) -> None:
    del places


class Lifecycle:
    """Tells a role's code when to stop, and the supervisor that it is ready and alive."""

    def __init__(self, context: Context) -> None:
        self.stopping = asyncio.Event()
        """Set when the process is to finish what it does and end."""
        self.orphaned = False
        """True when the supervisor is gone: there is no time to lose."""
        self.watch = LoopWatch(context.metrics.waited)
        """Measures the event loop once the process serves."""
        self._context = context
        self._settings = context.shared.settings
        self._row = context.row
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self.stop)
        loop.add_reader(context.shared.lifeline, self._on_lifeline)
        self._heap = Heap()
        self._has_turned = False
        self._beat()

    def ready(
        self, follow: Follow | None = None, stand_in: Callable[[int], None] = _for_nobody
    ) -> None:
        """Say that the process serves.

        Args:
            follow: called with settings that are newer than ours; it must take them over at once
                or not at all.
            stand_in: called with the places of those for whom the supervisor wants us to stand in.
        """
        self._stand_in = stand_in
        self._row.serves = self._settings.number
        self._row.state = State.READY
        self.watch.start()
        shared = self._context.shared
        asyncio.get_running_loop().call_later(_FIRST_DROP_S, self._drop)
        if follow is not None and shared.bells is not None:
            bell = shared.bells.of(self._context.row_number)
            asyncio.get_running_loop().add_reader(bell, self._on_bell, bell, follow)

    def _on_bell(self, bell: int, follow: Follow) -> None:
        heard(bell)
        self._stand_in(self._row.stands_in)
        published = self._context.shared.published
        assert published is not None
        number, data = published.read()
        if number <= self._settings.number:
            return
        settings = Settings.from_plain(orjson.loads(data))
        try:
            follow(settings)
        except Exception:  # noqa: BLE001 - a mistake of ours costs this reload, not the process
            _log.exception("the new settings could not be taken over")
            return
        self._settings, self._has_turned = settings, True
        setup_logging(settings.log_level, settings.log_format, self._context.name)
        self._row.serves = number

    def stop(self) -> None:
        """Begin to stop."""
        self._row.state = State.DRAINING
        self.stopping.set()

    def _on_lifeline(self) -> None:
        asyncio.get_running_loop().remove_reader(self._context.shared.lifeline)
        _log.error("the supervisor is gone; stopping")
        self.orphaned = True
        self.stop()

    def _drop(self) -> None:
        drop(self._context.shared.unchanged)
        self._heap.tidy(has_turned=self._has_turned)
        self._has_turned = False
        asyncio.get_running_loop().call_later(_DROP_S, self._drop)

    def _beat(self) -> None:
        self._row.beat(time.monotonic_ns())
        asyncio.get_running_loop().call_later(HEARTBEAT_S, self._beat)


def run_child(context: Context, serve: Callable[[Context, Lifecycle], Awaitable[None]]) -> NoReturn:
    """Be the child until its work ends; never returns to the supervisor's code."""
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the supervisor leads
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGUSR1, signal.SIG_DFL)
        signal.signal(signal.SIGUSR2, signal.SIG_DFL)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())  # what came since the fork is heard now
        prctl.continue_as_orphan()
        if context.role == "worker":
            _allow_many_files()
        faulthandler.enable()
        settings = context.shared.settings
        setup_logging(settings.log_level, settings.log_format, context.name)
        prctl.set_name(f"only1mcp:{context.name.replace('worker-', 'w')}")
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_main(context, serve))
        code = 0
    except BaseException:  # noqa: BLE001 - the last line of defence: nothing may unwind into the fork's parent code
        _log.exception("the process failed")
    finally:
        logging.shutdown()
        sys.stdout.flush()
        os._exit(code)


def _allow_many_files() -> None:
    """Raise our limit of open files to what we may have: every connection is one.

    At the usual 1024 uvloop would close further clients without a word. The host keeps what it was
    given, for the programs that it starts inherit it.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def _main(context: Context, serve: Callable[[Context, Lifecycle], Awaitable[None]]) -> None:
    await serve(context, Lifecycle(context))
