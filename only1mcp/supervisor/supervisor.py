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

import orjson

from only1mcp import __version__
from only1mcp.config.settings import Settings
from only1mcp.control.control import serve_control
from only1mcp.demo.calc import serve_demo
from only1mcp.host.host import serve_host
from only1mcp.memory.ended_sessions import open_lock_file
from only1mcp.memory.layout import Layout, SharedMemory
from only1mcp.memory.processes import ProcessRow, State, row_index
from only1mcp.memory.published import Published
from only1mcp.memory.upgrades import UpgradeWords
from only1mcp.observability.logs import setup_logging
from only1mcp.observability.metrics import MetricsPlan
from only1mcp.process import prctl
from only1mcp.process.bells import Bells
from only1mcp.process.child import run_child
from only1mcp.process.context import Context, Shared, Source
from only1mcp.process.heap import give_back_heap
from only1mcp.process.pages import drop, unchanged_ranges
from only1mcp.supervisor.anchor import Anchor
from only1mcp.supervisor.children import HANDLED, Children
from only1mcp.supervisor.handover import Handover
from only1mcp.supervisor.holdings import Holdings
from only1mcp.supervisor.keys import session_key, state_dir
from only1mcp.supervisor.listeners import another_listener
from only1mcp.supervisor.notify import Notifier
from only1mcp.supervisor.reaping import reaped
from only1mcp.supervisor.succession import Succession
from only1mcp.supervisor.takeover import lasting_of
from only1mcp.transports.stdio import descendants, process_tree
from only1mcp.worker.worker import serve_worker

_log = logging.getLogger(__name__)
TICK_S = 0.1
MAX_WORKERS = 64
"""As many as the configuration allows."""
RELOAD_S = 10.0
"""How long the service manager is kept waiting for a reload that does not end."""
MANY_SERVERS = 1024
"""Room in shared memory for servers that come with reloads."""
ROLES = {
    "control": serve_control, "host": serve_host, "demo": serve_demo, "worker": serve_worker,
}  # fmt: skip
OnReady = Callable[[Shared], int]
"""Tells the user; returns the pid of a helper that it may have left running, or 0."""


class Supervisor:
    """Runs the gateway until told to stop.

    Args:
        settings: what to run.
        holdings: taken at the start, or over from the supervisor whose place we are to take.
        source: where the settings came from, for control to look there again.
        on_ready: called once, when every process serves for the first time.
    """

    def __init__(
        self, settings: Settings, holdings: Holdings, source: Source, on_ready: OnReady
    ) -> None:
        self._holdings = holdings
        self._listeners = holdings.listeners
        self._runtime_dir = holdings.runtime_dir
        self._source = source
        self._on_ready = on_ready
        self._notifier = Notifier()
        self._signals: list[int] = []
        self._started_ns = time.monotonic_ns()
        self._lifeline, self._lifeline_end = os.pipe()
        self._succession = Succession(holdings)
        self._stays = False
        """Whether somebody waits for this process who cannot be told of the one that followed."""
        self._announced = False
        self._helper = 0
        self._next_alive = 0.0
        self._ended_by = 0
        self._reload_wanted = False
        self._reloads_seen = self._failures_seen = 0
        self._reloading_until = 0.0
        """When a reload that the service manager knows of is given up; 0 while there is none."""
        known = holdings.handover.client_slots if holdings.handover is not None else ()
        self._children = self._make_children(settings.following(None, known))
        self._upgrades = UpgradeWords(self._children.shared.memory.upgrades)

    def run(self) -> int:
        """Supervise until the end; returns the exit code."""
        prctl.set_name("only1mcp")
        prctl.adopt_orphans()
        wakeup = self._catch_signals()
        self._row().begin(os.getpid(), time.monotonic_ns())
        if self._succession.is_ours:
            self._register()
        self._settle_memory()
        self._children.start(hold_workers=not self._succession.is_ours)
        while not self._children.stopped:
            select.select([wakeup], [], [], TICK_S)
            with contextlib.suppress(BlockingIOError):
                wakeup.recv(4096)
            self._turn(time.monotonic())
        return self._end(wakeup)

    def _end(self, wakeup: socket.socket) -> int:
        """Clean up; returns the exit code, which may be that of the program that followed us."""
        self._helper = 0
        self._end_strays()
        self._children.shared.runtime_dir.remove()
        if not self._succession.has_handed_over:
            if self._succession.is_ours:
                self._runtime_dir.clear()
            return 128 + self._ended_by
        os.close(self._holdings.lock)
        if not self._stays:
            return 0
        prctl.set_name("only1mcp:anchor")
        pid, code = self._succession.successor, self._succession.ended_with
        return Anchor(pid, code, self._signals, wakeup, self._running_pid).wait()

    @property
    def has_handed_over(self) -> bool:
        """Whether another program has taken our place."""
        return self._succession.has_handed_over

    def _running_pid(self) -> int:
        record = self._runtime_dir.read_record()
        return int(record["pid"]) if record is not None else 0

    def _settle_memory(self) -> None:
        """Let go of what only the imports needed; what is shared from now on is to stay shared."""
        gc.collect()
        give_back_heap()
        gc.freeze()  # no collection in a child touches it
        ranges = unchanged_ranges()
        self._children.follow(replace(self._children.shared, unchanged=ranges))
        drop(ranges)

    def _turn(self, now: float) -> None:
        while self._signals:
            self._handle(signal.Signals(self._signals.pop(0)), now)
        self._follow()
        self._see_to_reload(now)
        has_reaped = self._reap()
        self._see_to_succession(now)
        self._children.tick(now)
        if has_reaped:  # not before: looking at all processes takes longer than a fork
            self._end_strays()
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

    def _see_to_succession(self, now: float) -> None:
        """Take over, and hand over, when it is time."""
        takeover, shared = self._succession.takeover, self._children.shared
        if takeover is not None and not self._ended_by and not self.has_handed_over:
            was_done = takeover.is_done
            if takeover.is_lost():
                _log.error("the process that others know the gateway by is gone; stopping")
                self._signals.append(signal.SIGTERM)
            elif takeover.is_done and not was_done:
                self._children.follow(replace(shared, predecessor=None))
                self._register()
            elif not takeover.is_done and takeover.servers_are_up(shared, now):
                self._children.release_workers()
        is_due = self._succession.is_due(now)
        self._upgrades.stand(self._succession.standing)
        if is_due:
            self._stays = self._succession.anchor is None and not self._notifier.is_heard
            self._notifier.hand_over(self._succession.successor)
            self._succession.leave(stays=self._stays)
            self._children.stop(now)

    def _handle(self, number: signal.Signals, now: float) -> None:
        if self.has_handed_over:
            self._pass_on(number)
        elif number is signal.SIGHUP:
            self._reload_wanted = True
        elif number is signal.SIGUSR1:
            self._succession.begin(self._children.shared, now)
            self._upgrades.hear(self._succession.standing)
        elif number is signal.SIGUSR2:
            _log.info("the workers are replaced, one after the other")
            self._children.roll()
        elif self._ended_by:
            _log.warning("stopping at once", extra={"signal": number.name})
            self._children.kill()
            self._end_strays()
        else:
            self._ended_by = number
            _log.info("stopping", extra={"signal": number.name})
            self._notifier.stopping()
            self._succession.give_up()
            self._row().state = State.DRAINING
            for listener in self._listeners:
                listener.close()
            self._children.stop(now)

    def _pass_on(self, number: signal.Signals) -> None:
        """Let the new program have a signal, or the one that has followed it in its turn."""
        pid = self._running_pid()  # one that has handed over in its turn may not hear any more
        if pid in (0, os.getpid()):
            pid = self._succession.successor
        if pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def _follow(self) -> None:
        """Have children that start from now on work by the settings in force."""
        shared = self._children.shared
        assert shared.published is not None
        if shared.published.number > shared.settings.number:
            settings = Settings.from_plain(orjson.loads(shared.published.read()[1]))
            self._children.follow(replace(shared, settings=settings))
            if settings.workers != shared.settings.workers:
                self._listen_more(settings.workers)
                self._children.resize(settings.workers)
            setup_logging(settings.log_level, settings.log_format, "supervisor")

    def _listen_more(self, count: int) -> None:
        shared = self._children.shared
        for _ in range(count - len(self._listeners)):
            self._listeners.append(another_listener(shared.settings.host, shared.port))

    def _see_to_reload(self, now: float) -> None:
        """Have control reload, and tell the service manager when that is over."""
        ended, failed = self._children.shared.memory.reloads
        if self._reload_wanted and not self._ended_by:
            if not self._reloading_until:
                self._notifier.reloading()
            if self._children.tell_control(signal.SIGHUP):
                self._reload_wanted = False
                self._reloads_seen, self._failures_seen = ended, failed
                self._reloading_until = now + RELOAD_S
        elif self._reloading_until and (ended > self._reloads_seen or now > self._reloading_until):
            self._reloading_until = 0.0
            went_well = ended > self._reloads_seen and failed == self._failures_seen
            serving = f"serving on port {self._children.shared.port}"
            bad = "the reload failed; the old configuration goes on"
            self._notifier.ready(serving if went_well else bad)

    def _reap(self) -> bool:
        """Note who ended; say whether anybody did.

        What such a process leaves behind can itself leave something behind.
        """
        has_reaped = False
        for pid, status in reaped():
            has_reaped = True
            self._children.ended(pid, status)
            self._succession.ended(pid, status)
        return has_reaped

    def _end_strays(self) -> None:
        """Kill what a dead child of ours left behind: the kernel made it our child."""
        ours = {self._helper, self._succession.successor, *self._children.pids}
        if self.has_handed_over:
            ours.add(self._running_pid())  # the new program may have been followed in its turn
        for pid in {*process_tree().get(os.getpid(), ())} - ours:
            for below in (*descendants(pid), pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(below, signal.SIGKILL)

    def _announce(self) -> None:
        """Say, once, that the gateway serves; one that was told to stop by then says nothing."""
        if self._announced or self._ended_by or self._children.unready:
            return
        if self._succession.takeover is not None:
            self._succession.takeover.say_ready()
        if self._succession.is_ours:
            self._announced = True
            self._row().state = State.READY
            self._notifier.ready(f"serving on port {self._children.shared.port}")
            self._helper = self._on_ready(self._children.shared)

    def _feed_watchdog(self, now: float) -> None:
        """Say that we live, unless that is of no use: then the service manager starts us anew."""
        is_ours = self._succession.is_ours and not self.has_handed_over
        if not is_ours or self._children.is_stuck(now):
            return
        if self._notifier.watchdog_s is not None and now >= self._next_alive:
            self._next_alive = now + self._notifier.watchdog_s
            self._notifier.alive()

    def _row(self) -> ProcessRow:
        memory = self._children.shared.memory
        return ProcessRow(memory.process_row(row_index("supervisor")))

    def _register(self) -> None:
        """Let others find us."""
        shared = self._children.shared
        self._runtime_dir.write_record(
            {
                "pid": os.getpid(), "version": __version__, "port": shared.port,
                "host": shared.settings.host, "control": str(shared.runtime_dir.control_socket),
            }
        )  # fmt: skip

    def _make_children(self, settings: Settings) -> Children:
        shared = self._make_shared(settings)
        assert shared.published is not None
        shared.published.publish(settings.number, orjson.dumps(settings.to_plain()))
        return Children(shared, self._listeners, self._holdings.demo, self._become)

    def _make_shared(self, settings: Settings) -> Shared:
        servers = max(MANY_SERVERS, 2 * len(settings.servers))
        # Twice, for those that drain beside those that have come in their places.
        layout = Layout(2 * MAX_WORKERS, servers, MetricsPlan(("",) * servers).size)
        directory = self._runtime_dir.generation(self._holdings.generation)
        directory.path.mkdir(mode=0o700)
        handover, before = self._holdings.handover, self._holdings.generation - 1
        return Shared(
            settings=settings,
            memory=SharedMemory(layout, None if handover is None else lasting_of(handover)),
            runtime_dir=directory,
            port=self._holdings.port,
            lifeline=self._lifeline,
            session_key=_session_key(handover),
            board_key=secrets.token_bytes(32),
            ended_lock=open_lock_file() if handover is None else handover.ended_lock,
            started_ns=self._started_ns,
            source=self._source,
            published=Published(),
            bells=Bells(layout.processes),
            predecessor=None if handover is None else self._runtime_dir.generation(before),
        )

    def _become(self, context: Context) -> NoReturn:
        """Be a child: let go of what is the supervisor's alone."""
        os.close(self._lifeline_end)
        self._succession.close()
        for sock in (*self._listeners, self._holdings.demo):
            if sock is not None and sock not in (context.listener, *context.known):
                sock.close()
        assert context.shared.bells is not None
        if context.role != "control":
            context.shared.bells.keep([context.row_number])
        run_child(context, ROLES[context.role])


def _session_key(handover: Handover | None) -> bytes:
    return session_key(state_dir()) if handover is None else bytes.fromhex(handover.session_key)
