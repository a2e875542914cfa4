"""All children of the supervisor."""

import contextlib
import logging
import math
import os
import signal
import socket
import time
from collections.abc import Callable, MutableSequence
from dataclasses import replace
from typing import NoReturn

from only1mcp.memory.instances import forget_worker
from only1mcp.process.context import Context, Shared
from only1mcp.supervisor.child_handle import ChildHandle
from only1mcp.supervisor.staffing import leaving, vacant
from only1mcp.supervisor.stand_ins import Post, stand_ins

_log = logging.getLogger(__name__)
HANG_S = 10.0
"""Without a heartbeat; on a machine that is busy enough a process may wait for seconds."""
STOPPED_S = 3.0
"""The same for a worker that a signal has stopped: that no load does."""
PAUSE_S = 2.0
"""So long a time between two ticks says that we stood still; all the others may have as well."""
DUMP_S = 1.0
SILENT_S = 1.0
"""Of a worker from which nothing was heard for so long another one takes the new clients."""
SERVED_WAIT_S = 0.1
"""The longest that clients wait for the next worker when one has died that had served."""
STUCK_S = 20.0
"""A hanging worker is replaced in less; after so long without one that serves we cannot help."""
FORK_RETRY_S = 1.0
DRAIN_MARGIN_S = 6.0
"""What a worker may take besides: clients are given time to part, and servers to let go."""
HOST_STOP_S = 6.0
"""Time for the host to end its children properly: close input, wait, SIGTERM, wait, SIGKILL."""
Run = Callable[[Context], NoReturn]
HANDLED = (
    signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGCHLD,
)  # fmt: skip
"""The signals that the supervisor has handlers for."""
STOP_ORDER = (("worker",), ("host",), ("control", "demo"))
"""Workers first: what they finish may need the host."""


class Children:
    """Starts its children, starts them again when they end, and stops them in order."""

    def __init__(
        self, shared: Shared, listeners: MutableSequence[socket.socket],
        demo: socket.socket | None, run: Run,
    ) -> None:  # fmt: skip
        self.shared = shared
        self._run = run
        self._listeners = listeners
        self._stopping_stage = -1
        self._stage_deadline = 0.0
        self._ticked = self._awake_since = self._served = 0.0
        self.handles = [
            ChildHandle(Context(shared, "control")),
            ChildHandle(Context(shared, "host")),
        ]
        if demo is not None:
            self.handles.append(ChildHandle(Context(shared, "demo", 0, demo)))
        # More sockets than workers: those of a program before ours, which had more of them.
        self._wanted = min(shared.settings.workers, len(listeners))
        for place in range(self._wanted):
            context = Context(shared, "worker", place, listeners[place])
            self.handles.append(ChildHandle(context, place=place))

    def start(self, *, hold_workers: bool = False) -> None:
        """Fork all children; the workers, who let clients in, may have to wait."""
        for child in self.handles:
            if hold_workers and child.context.role == "worker":
                child.restart_at = math.inf
            else:
                self._fork(child)

    def release_workers(self) -> None:
        """Have the workers wait no longer."""
        for child in self.workers:
            if child.restart_at == math.inf:
                child.restart_at = 0.0

    def follow(self, shared: Shared) -> None:
        """Have the children that are forked from now on inherit this."""
        self.shared = shared
        for child in self.handles:
            child.context = replace(child.context, shared=shared)

    def tell_control(self, number: signal.Signals) -> bool:
        """Send control a signal; False when it is not there to take it."""
        control = self.handles[0]
        if not control.is_ready:
            return False
        control.signal(number)
        return True

    def _fork(self, child: ChildHandle) -> None:
        now_ns = time.monotonic_ns()
        if child.context.role == "worker":
            child.context = replace(child.context, known=tuple(self._listeners))
        child.context.row.begin(0, now_ns)  # before the child writes there: it may be quick
        # Until the child has handlers of its own, a signal for it would be noted in its copy of our
        # list, where nobody looks.
        unblocked = signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)
        try:
            pid = os.fork()
            if pid == 0:
                self._run(child.context)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, unblocked)
        child.pid = child.context.row.pid = pid
        child.aborted_at = 0.0
        child.outdated = False
        child.policy.started(now_ns / 1e9)

    @property
    def unready(self) -> list[str]:
        """Names of the children that do not serve (yet)."""
        return [child.context.name for child in self.handles if not child.is_ready]

    @property
    def pids(self) -> set[int]:
        """Pids of the children that run."""
        return {child.pid for child in self.handles if child.pid}

    @property
    def stopping(self) -> bool:
        """Whether it was told to stop."""
        return self._stopping_stage >= 0

    def ended(self, pid: int, status: int) -> None:
        """Note that a process was reaped; it need not be one of ours."""
        child = next((child for child in self.handles if child.pid == pid), None)
        if child is None:
            return
        has_served = child.is_ready
        child.has_served |= has_served
        child.pid = 0
        child.context.row.clear()
        if child.context.role == "worker":
            forget_worker(self.shared.memory, child.context.index)
        code = os.waitstatus_to_exitcode(status)
        if child.retiring:
            self.handles.remove(child)
        if self.stopping or child.retiring:
            return
        wait_s = child.policy.ended(time.monotonic())
        if has_served and child.context.role == "worker":
            wait_s = min(wait_s, SERVED_WAIT_S)
        child.restart_at = time.monotonic() + wait_s
        _log.error(
            "%s ended; it starts again in %g s", child.context.name, wait_s,
            extra={"pid": pid, "exit_code": code},
        )  # fmt: skip

    def tick(self, now: float) -> None:
        """Do what is due: restarts, hung children, the next stage of a stop."""
        if now - self._ticked > PAUSE_S:
            self._awake_since = self._served = now
        self._ticked = now
        if any(self._serves(worker, now) for worker in self.workers):
            self._served = now
        if self.stopping:
            self._advance(now)
            return
        self._staff(now)
        self._post_stand_ins(now)
        for child in list(self.handles):
            if not child.pid and child.restart_at <= now:
                self._start_again(child, now)
            elif child.pid:
                self._check_heart(child, now)

    def _post_stand_ins(self, now: float) -> None:
        """Have every socket served by somebody, and tell those for whom that is news."""
        serving = [child for child in self.workers if self._serves(child, now, SILENT_S)]
        posts = [Post(1 << child.place, len(child.context.known)) for child in serving]
        wanted = stand_ins(posts, len(self._listeners))
        for child, places in zip(serving, wanted, strict=True):
            row, bells = child.context.row, self.shared.bells
            if bells is not None and row.stands_in != places:
                row.stands_in = places
                os.eventfd_write(bells.of(child.context.row_number), 1)

    def is_stuck(self, now: float) -> bool:
        """Say whether no worker has served for so long that the service manager is to know."""
        return not self.stopping and now - self._served > STUCK_S

    @staticmethod
    def _serves(worker: ChildHandle, now: float, within_s: float = HANG_S) -> bool:
        return worker.is_ready and now - worker.context.row.beat_ns / 1e9 < within_s

    @property
    def workers(self) -> list[ChildHandle]:
        """The workers that are to go on."""
        return [
            child for child in self.handles
            if child.context.role == "worker" and not child.retiring
        ]  # fmt: skip

    def roll(self) -> None:
        """Replace each worker by a new one, which serves before the old one drains."""
        for worker in self.workers:
            worker.outdated = True

    def resize(self, count: int) -> None:
        """Have so many workers.

        No listening socket is ever closed, for clients may stand before it: others stand in for
        workers that go.
        """
        self._wanted = count

    def _staff(self, now: float) -> None:
        """Do the next thing to have the workers as they are wanted."""
        for worker in self.workers:
            worker.has_served |= worker.is_ready
        for worker in leaving(self.workers, self._wanted):
            worker.retiring = True
            worker.signal(signal.SIGTERM)
            if not worker.pid:
                self.handles.remove(worker)
        place = vacant(self.workers, self._wanted, len(self._listeners))
        index = self._free_index()
        if place is not None and index is not None:  # there is none when too many still drain
            self._add(place, index, now)

    def _add(self, place: int, index: int, now: float) -> None:
        context = Context(self.shared, "worker", index, self._listeners[place])
        context.row.starts = 0  # who had the row before was another worker
        child = ChildHandle(context, place=place)
        self.handles.append(child)
        self._start_again(child, now)

    def _free_index(self) -> int | None:
        used = {child.context.index for child in self.handles if child.context.role == "worker"}
        free = (n for n in range(self.shared.memory.layout.workers) if n not in used)
        return next(free, None)

    def _start_again(self, child: ChildHandle, now: float) -> None:
        try:
            self._fork(child)
        except OSError:
            _log.exception("%s cannot be started", child.context.name)
            child.restart_at = now + FORK_RETRY_S

    def _check_heart(self, child: ChildHandle, now: float) -> None:
        age_s = now - max(child.context.row.beat_ns / 1e9, self._awake_since)
        if child.aborted_at and now - child.aborted_at > DUMP_S:
            child.signal(signal.SIGKILL)
        elif self._hangs(child, age_s) and not child.aborted_at:
            _log.error(
                "%s hangs; its stacks follow, then it is replaced", child.context.name,
                extra={"pid": child.pid},
            )  # fmt: skip
            child.aborted_at = now
            child.signal(signal.SIGABRT)
            child.signal(signal.SIGCONT)

    @staticmethod
    def _hangs(child: ChildHandle, age_s: float) -> bool:
        """Say whether a child is to be replaced; clients wait for what a stopped worker holds."""
        is_worker = child.context.role == "worker"
        return age_s > HANG_S or (is_worker and age_s > STOPPED_S and child.is_stopped)

    def stop(self, now: float) -> None:
        """Begin to stop."""
        if not self.stopping:
            self._enter(0, now)

    def _enter(self, stage: int, now: float) -> None:
        self._stopping_stage = stage
        drain_s = self.shared.settings.shutdown_timeout_s + DRAIN_MARGIN_S
        self._stage_deadline = now + (drain_s if stage == 0 else HOST_STOP_S)
        for child in self._of_stage():
            child.signal(signal.SIGTERM)

    def _of_stage(self) -> list[ChildHandle]:
        roles = STOP_ORDER[self._stopping_stage]
        return [child for child in self.handles if child.context.role in roles]

    def _advance(self, now: float) -> None:
        alive = [child for child in self._of_stage() if child.pid]
        if alive and now > self._stage_deadline:
            for child in alive:
                _log.error("%s does not stop; it is killed", child.context.name)
                child.signal(signal.SIGKILL)
            self._stage_deadline = now + 1.0
        elif not alive and self._stopping_stage + 1 < len(STOP_ORDER):
            self._enter(self._stopping_stage + 1, now)

    @property
    def stopped(self) -> bool:
        """Whether all has come to its end."""
        last = len(STOP_ORDER) - 1
        return self._stopping_stage == last and not self.pids

    def kill(self) -> None:
        """End all children at once, without the order of a stop."""
        self._stopping_stage = len(STOP_ORDER) - 1
        self._stage_deadline = time.monotonic() + 1.0
        for pid in self.pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
