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
from only1mcp.supervisor.generation import Generation
from only1mcp.supervisor.keys import session_key, state_dir
from only1mcp.supervisor.notify import Notifier
from only1mcp.transports.stdio import descendants
from only1mcp.worker.worker import serve_worker

_log = logging.getLogger(__name__)
TICK_S = 0.1
ROLES = {
    "control": serve_control, "host": serve_host, "demo": serve_demo, "worker": serve_worker,
}  # fmt: skip
Reread = Callable[[], Settings | None]
"""Reads the configuration again; None when it is not valid, which has been logged."""
OnReady = Callable[[Shared], None]


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
        self._settings = settings
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
        self._announced = False
        self._next_alive = 0.0
        self._ended_by = 0
        self._draining: list[Generation] = []
        self._number = 0
        self._current = self._generation(settings, 1)

    def run(self) -> int:
        """Supervise until the end; returns the signal that asked for it."""
        prctl.set_name("only1mcp")
        prctl.adopt_orphans()
        wakeup = self._catch_signals()
        self._register()
        gc.collect()
        gc.freeze()  # what is shared now stays shared: no collection in a child touches it
        self._current.start()
        while not self._current.stopped or self._draining:
            select.select([wakeup], [], [], TICK_S)
            with contextlib.suppress(BlockingIOError):
                wakeup.recv(4096)
            self._turn(time.monotonic())
        self._end_strays()
        self._runtime_dir.clear()
        return self._ended_by

    def _turn(self, now: float) -> None:
        while self._signals:
            self._handle(signal.Signals(self._signals.pop(0)), now)
        self._reap()
        for generation in (self._current, *self._draining):
            generation.tick(now)
        self._draining = [old for old in self._draining if not old.stopped]
        self._row().beat(time.monotonic_ns())
        self._announce(now)

    def _catch_signals(self) -> socket.socket:
        wakeup, end = socket.socketpair()
        wakeup.setblocking(False)
        end.setblocking(False)
        self._wakeup_end = end
        signal.set_wakeup_fd(end.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, self._on_signal)
        return wakeup

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        del frame
        if number != signal.SIGCHLD:
            self._signals.append(number)

    def _handle(self, number: signal.Signals, now: float) -> None:
        if number is signal.SIGHUP:
            self._reload(now)
        elif self._ended_by:
            _log.warning("stopping at once", extra={"signal": number.name})
            for generation in (self._current, *self._draining):
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

    def _reload(self, now: float) -> None:
        """Start the next generation beside this one, and drain this one once the next serves."""
        if self._ended_by or self._draining:
            return
        self._notifier.reloading()
        settings = self._reread()
        if settings is None:
            self._notifier.ready("the configuration is not valid; the old one goes on")
            return
        kept = replace(
            settings, host=self._settings.host, port=self._settings.port,
            workers=self._settings.workers,
        )  # fmt: skip
        if kept != settings:
            _log.warning("host, port and workers change with a restart only")
        following = self._generation(kept, self._number + 1)
        following.shared.memory.take_over_ended(self._current.shared.memory)
        following.start()
        self._settings, self._announced = kept, False
        self._draining.append(self._current)
        self._current = following
        self._register()
        self._await_ready(now)
        self._draining[0].stop(time.monotonic())
        _log.info("reloaded")

    def _await_ready(self, now: float) -> None:
        """Let the old generation serve until the new one does, or five seconds have passed."""
        while not self._current.ready and time.monotonic() < now + 5.0:
            time.sleep(0.01)
            self._reap()

    def _reap(self) -> None:
        """Note who ended; what such a process leaves behind can itself leave something behind."""
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    return
                for generation in (self._current, *self._draining):
                    generation.ended(pid, status)
                self._end_strays()

    def _end_strays(self) -> None:
        """Kill what a dead child of ours left behind: the kernel made it our child."""
        ours = set[int]().union(*(g.pids for g in (self._current, *self._draining)))
        for pid in _children(os.getpid()) - ours:
            for below in (*descendants(pid), pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(below, signal.SIGKILL)

    def _announce(self, now: float) -> None:
        if not self._announced and self._current.ready:
            self._announced = True
            self._row().state = State.READY
            self._notifier.ready(f"serving on port {self._current.shared.port}")
            self._on_ready(self._current.shared)
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
                "host": self._settings.host, "control": str(shared.runtime_dir.control_socket),
            }
        )  # fmt: skip

    def _generation(self, settings: Settings, number: int) -> Generation:
        plan = MetricsPlan(tuple(server.id for server in settings.servers))
        layout = Layout(settings.workers, len(settings.servers), plan.size)
        self._number = number
        directory = RuntimeDir(self._runtime_dir.path / f"{GENERATION}{number}")
        directory.path.mkdir(mode=0o700)
        shared = Shared(
            settings=settings,
            memory=SharedMemory(layout),
            runtime_dir=directory,
            port=self._listeners[0].getsockname()[1],
            lifeline=self._lifeline,
            session_key=self._session_key,
            board_key=secrets.token_bytes(32),
            ended_lock=open_lock_file(),
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


def _children(pid: int) -> set[int]:
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:  # noqa: PTH123 - procfs
        return {int(word) for word in file.read().split()}
