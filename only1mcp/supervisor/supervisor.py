"""The supervisor: signals in, children kept, the service manager told."""

import contextlib
import gc
import logging
import os
import secrets
import select
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from types import FrameType
from typing import NoReturn

from only1mcp import __version__
from only1mcp.config.settings import Settings
from only1mcp.control.control import serve_control
from only1mcp.demo.calc import serve_demo
from only1mcp.host.host import serve_host
from only1mcp.links.runtime_dir import GENERATION, RuntimeDir
from only1mcp.memory.ended_sessions import open_lock_file
from only1mcp.memory.layout import Layout, SharedMemory
from only1mcp.memory.processes import ProcessRow, State, row_index
from only1mcp.observability.metrics import MetricsPlan
from only1mcp.process import prctl
from only1mcp.process.child import run_child
from only1mcp.process.context import Context, Shared
from only1mcp.supervisor.generation import HANDLED, Generation
from only1mcp.supervisor.keys import session_key, state_dir
from only1mcp.supervisor.notify import Notifier
from only1mcp.transports.stdio import descendants, process_tree
from only1mcp.worker.worker import serve_worker

_log = logging.getLogger(__name__)
TICK_S = 0.1
READY_S = 5.0
"""How long a new generation may take to serve before it is given up."""
MAX_OTHERS = 3
"""Old generations at a time; a further reload waits until one of them has ended."""
ROLES = {
    "control": serve_control, "host": serve_host, "demo": serve_demo, "worker": serve_worker,
}  # fmt: skip
Reread = Callable[[], Settings | None]
"""Reads the configuration again; None when it is not valid, which has been logged."""
OnReady = Callable[[Shared], int]
"""Tells the user; returns the pid of a helper that it may have left running, or 0."""


class Supervisor:
    """Runs the gateway until told to stop.

    Args:
        settings: what to run.
        listeners: one socket for each worker.
        demo: the demonstration server's socket, if it is to run.
        runtime_dir: locked and ours.
        reread: called on SIGHUP.
        on_ready: called once, when every process serves for the first time.
    """

    def __init__(
        self, settings: Settings, listeners: list[socket.socket], demo: socket.socket | None,
        runtime_dir: RuntimeDir, reread: Reread, on_ready: OnReady,
    ) -> None:  # fmt: skip
        self._listeners = listeners
        self._demo = demo
        self._runtime_dir = runtime_dir
        self._reread = reread
        self._on_ready = on_ready
        self._notifier = Notifier()
        self._signals: list[int] = []
        self._started_ns = time.monotonic_ns()
        self._lifeline, self._lifeline_end = os.pipe()
        self._session_key = session_key(state_dir())
        self._ended_lock = open_lock_file()
        self._announced = False
        self._helper = 0
        self._next_alive = 0.0
        self._ended_by = 0
        self._reload_wanted = False
        self._others: list[Generation] = []
        """Generations beside the current one: those that drain, and the next while it starts."""
        self._number = 0
        self._current = self._generation(settings, None)

    def run(self) -> int:
        """Supervise until the end; returns the signal that asked for it."""
        prctl.set_name("only1mcp")
        prctl.adopt_orphans()
        wakeup = self._catch_signals()
        self._register()
        gc.collect()
        gc.freeze()  # what is shared now stays shared: no collection in a child touches it
        self._current.start()
        while not self._current.stopped or self._others:
            select.select([wakeup], [], [], TICK_S)
            with contextlib.suppress(BlockingIOError):
                wakeup.recv(4096)
            self._turn(time.monotonic())
        self._helper = 0
        self._end_strays()
        self._runtime_dir.clear()
        return self._ended_by

    def _turn(self, now: float) -> None:
        while self._signals:
            self._handle(signal.Signals(self._signals.pop(0)), now)
        if self._reload_wanted and len(self._others) < MAX_OTHERS and not self._ended_by:
            self._reload()
        self._reap()
        for generation in (self._current, *self._others):
            generation.tick(now)
        for old in [old for old in self._others if old.stopped]:
            self._others.remove(old)
            old.shared.runtime_dir.remove()
        self._row().beat(time.monotonic_ns())
        self._announce()
        self._feed_watchdog(now)

    def _catch_signals(self) -> socket.socket:
        wakeup, end = socket.socketpair()
        wakeup.setblocking(False)
        end.setblocking(False)
        self._wakeup_end = end
        signal.set_wakeup_fd(end.fileno(), warn_on_full_buffer=False)
        for number in HANDLED:
            signal.signal(number, self._on_signal)
        return wakeup

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        del frame
        if number != signal.SIGCHLD:
            self._signals.append(number)

    def _handle(self, number: signal.Signals, now: float) -> None:
        if number is signal.SIGHUP:
            self._reload_wanted = True
        elif self._ended_by:
            _log.warning("stopping at once", extra={"signal": number.name})
            for generation in (self._current, *self._others):
                generation.kill()
            self._end_strays()
        else:
            self._ended_by = number
            _log.info("stopping", extra={"signal": number.name})
            self._notifier.stopping()
            self._row().state = State.DRAINING
            for listener in self._listeners:
                listener.close()
            self._current.stop(now)

    def _reload(self) -> None:
        """Let the next generation serve and drain this one; if it fails nothing changes."""
        self._reload_wanted = False
        self._notifier.reloading()
        settings = self._reread()
        following = None if settings is None else self._start_next(self._kept(settings))
        if following is None:
            self._notifier.ready("the reload failed; the old configuration goes on")
            return
        old, self._current = self._current, following
        self._others[self._others.index(following)] = old
        self._register()
        self._row().state = State.READY
        old.stop(time.monotonic())
        self._notifier.ready(f"serving on port {following.shared.port}")
        _log.info("reloaded")

    def _kept(self, settings: Settings) -> Settings:
        """Keep what only a restart can change."""
        old = self._current.shared.settings
        asked = replace(settings, port=settings.port or old.port)
        kept = replace(asked, host=old.host, port=old.port, workers=old.workers)
        if kept != asked:
            _log.warning("host, port and workers change with a restart only")
        return kept

    def _start_next(self, settings: Settings) -> Generation | None:
        """Start a generation beside the current one; None when it does not come to serve."""
        try:
            following = self._generation(settings, self._current)
        except OSError:
            _log.exception("the reload failed")
            return None
        self._others.append(following)
        deadline = time.monotonic() + READY_S
        try:
            following.start()
            while following.unready and time.monotonic() < deadline:
                time.sleep(0.01)
                self._reap()
                self._feed_watchdog(time.monotonic())
        except OSError:
            _log.exception("no more processes can be started")
        if not following.unready:
            return following
        names = ", ".join(following.unready)
        _log.error("the reload failed: the new processes do not come to serve: %s", names)
        following.kill()
        return None

    def _reap(self) -> None:
        """Note who ended; what such a process leaves behind can itself leave something behind."""
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    return
                for generation in (self._current, *self._others):
                    generation.ended(pid, status)
                self._end_strays()

    def _end_strays(self) -> None:
        """Kill what a dead child of ours left behind: the kernel made it our child."""
        ours = {self._helper}.union(*(g.pids for g in (self._current, *self._others)))
        for pid in {*process_tree().get(os.getpid(), ())} - ours:
            for below in (*descendants(pid), pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(below, signal.SIGKILL)

    def _announce(self) -> None:
        """Say, once, that the gateway serves; one that was told to stop by then says nothing."""
        if not self._announced and not self._ended_by and not self._current.unready:
            self._announced = True
            self._row().state = State.READY
            self._notifier.ready(f"serving on port {self._current.shared.port}")
            self._helper = self._on_ready(self._current.shared)

    def _feed_watchdog(self, now: float) -> None:
        if self._notifier.watchdog_s is not None and now >= self._next_alive:
            self._next_alive = now + self._notifier.watchdog_s
            self._notifier.alive()

    def _row(self) -> ProcessRow:
        memory = self._current.shared.memory
        return ProcessRow(memory.process_row(row_index("supervisor")))

    def _register(self) -> None:
        self._row().begin(os.getpid(), time.monotonic_ns())
        shared = self._current.shared
        self._runtime_dir.write_record(
            {
                "pid": os.getpid(), "version": __version__, "port": shared.port,
                "host": shared.settings.host, "control": str(shared.runtime_dir.control_socket),
            }
        )  # fmt: skip

    def _generation(self, settings: Settings, before: Generation | None) -> Generation:
        plan = MetricsPlan(tuple(server.id for server in settings.servers))
        layout = Layout(settings.workers, len(settings.servers), plan.size)
        self._number += 1
        directory = RuntimeDir(self._runtime_dir.path / f"{GENERATION}{self._number}")
        directory.path.mkdir(mode=0o700)
        shared = Shared(
            settings=settings,
            memory=SharedMemory(layout, None if before is None else before.shared.memory),
            runtime_dir=directory,
            port=self._listeners[0].getsockname()[1],
            lifeline=self._lifeline,
            session_key=self._session_key,
            board_key=secrets.token_bytes(32),
            ended_lock=self._ended_lock,
            started_ns=self._started_ns,
        )
        return Generation(shared, self._listeners, self._demo, self._become)

    def _become(self, context: Context) -> NoReturn:
        """Be a child: let go of what is the supervisor's alone."""
        os.close(self._lifeline_end)
        for sock in (*self._listeners, self._demo):
            if sock is not None and sock is not context.listener:
                sock.close()
        run_child(context, ROLES[context.role])
