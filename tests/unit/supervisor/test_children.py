"""Real children whose clock the test turns."""

import faulthandler
import os
import signal
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import NoReturn

import pytest

from only1mcp.links.runtime_dir import RuntimeDir
from only1mcp.memory.layout import Layout, SharedMemory
from only1mcp.observability.metrics import MetricsPlan
from only1mcp.process.bells import Bells
from only1mcp.process.child import Lifecycle, run_child
from only1mcp.process.context import Context, Shared
from only1mcp.supervisor.child_handle import ChildHandle
from only1mcp.supervisor.children import (
    HANDLED,
    HANG_S,
    SERVED_WAIT_S,
    STOPPED_S,
    STUCK_S,
    Children,
    Run,
)
from tests.support.configuration import settings_of
from tests.support.forking import fork, join
from tests.support.waiting import wait_until


def _children(run: Run, listeners: list[socket.socket] | None = None, spare: int = 0) -> Children:
    """Return a control process, a host, and a worker per socket, that do what the test says.

    There are so many spare rows for workers that come while others drain.
    """
    settings = replace(settings_of("version: 1.0"), workers=max(1, len(listeners or [])))
    layout = Layout(settings.workers + spare, 0, MetricsPlan(()).size)
    lifeline, _ = os.pipe()
    shared = Shared(
        settings, SharedMemory(layout), RuntimeDir(Path("/nonexistent")), 0, lifeline, b"", b"",
        bells=Bells(layout.processes),
    )  # fmt: skip
    return Children(shared, listeners or [], None, run)


def _ends(children: Children) -> list[int]:
    """Reap the children as they end; returns their exit codes."""
    codes: list[int] = []

    def reap() -> bool:
        for child in children.handles:
            pid, status = os.waitpid(child.pid, os.WNOHANG) if child.pid else (0, 0)
            if pid:
                child.pid = 0
                codes.append(os.waitstatus_to_exitcode(status))
        return not children.pids

    try:
        wait_until(reap, "all children to end")
    finally:
        children.kill()
    return codes


def _stand_still(context: Context) -> NoReturn:
    del context
    faulthandler.disable()  # the test expects the abort
    while True:
        signal.pause()


def test_time_in_which_all_stood_still_is_not_held_against_a_child() -> None:
    """After Ctrl-Z and fg nobody has a fresh heartbeat; who has none later on hangs."""

    def work() -> None:
        children = _children(_stand_still)
        children.start()
        now = time.monotonic()
        children.tick(now)
        now += 600
        children.tick(now)
        assert not any(child.aborted_at for child in children.handles)
        for _ in range(int(HANG_S) + 1):
            now += 1
            children.tick(now)
        assert _ends(children) == [-signal.SIGABRT, -signal.SIGABRT]

    assert join(fork(work)) == [0]


def test_a_worker_that_was_stopped_is_replaced_sooner_than_one_that_is_slow() -> None:
    """No load of the machine stops a process; the control process and the host can wait."""

    def work() -> None:
        with ExitStack() as stack:
            sockets = [
                stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2)
            ]
            children = _children(_stand_still, sockets)
            children.start()
            control, host, slow, stopped = children.handles
            for child in (control, host, stopped):
                child.signal(signal.SIGSTOP)
                wait_until(lambda child=child: child.is_stopped, "it stands still")  # type: ignore[misc]
            now = time.monotonic()
            children.tick(now)
            for _ in range(int(STOPPED_S) + 1):
                assert not slow.is_stopped
                now += 1
                children.tick(now)
            assert [child.aborted_at > 0 for child in children.handles] == [False] * 3 + [True]
            for child in (control, host, slow):
                child.signal(signal.SIGKILL)
            assert sorted(_ends(children)) == [-signal.SIGKILL] * 3 + [-signal.SIGABRT]

    assert join(fork(work)) == [0]


async def _until_told(context: Context, lifecycle: Lifecycle) -> None:
    del context
    await lifecycle.stopping.wait()


def _told_before_it_listens(context: Context) -> NoReturn:
    os.kill(os.getpid(), signal.SIGTERM)
    run_child(context, _until_told)


def test_a_signal_that_comes_right_after_the_fork_is_not_lost() -> None:
    """The child still has the supervisor's handlers then, which only take note."""

    def work() -> None:
        for number in HANDLED:
            signal.signal(number, lambda *_: None)
        children = _children(_told_before_it_listens)
        children.start()
        assert not signal.pthread_sigmask(signal.SIG_BLOCK, ())
        assert _ends(children) == [-signal.SIGTERM, -signal.SIGTERM]

    assert join(fork(work)) == [0]


async def _serve_once(context: Context, lifecycle: Lifecycle) -> None:
    lifecycle.ready()
    await lifecycle.stopping.wait()


def _serve(context: Context) -> NoReturn:
    run_child(context, _serve_once)


def test_the_service_manager_learns_when_no_worker_serves_for_long() -> None:
    """One that hangs for a moment is our own business, and so is time in which all stood still."""

    def work() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            children = _children(_serve, [listener])
            children.start()
            begun = time.monotonic()
            wait_until(lambda: not children.unready, "all serve")
            children.tick(time.monotonic())
            assert not children.is_stuck(begun + STUCK_S)
            worker = children.workers[0]
            os.kill(worker.pid, signal.SIGSTOP)
            now = time.monotonic()
            while not children.is_stuck(now):
                worker.aborted_at = now  # as if it could not be killed either
                now += 1
                children.tick(now)
                assert now < begun + 4 * STUCK_S
            assert now > begun + STUCK_S
            now += 600
            children.tick(now)
            assert not children.is_stuck(now)
            for child in children.handles:
                child.signal(signal.SIGKILL)
            assert len(_ends(children)) == 3

    assert join(fork(work)) == [0]


def _settle(children: Children, count: int) -> list[int]:
    """Have them come and go until nobody is on the way; returns the workers' pids."""

    def is_settled() -> bool:
        children.tick(time.monotonic())
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid:
            children.ended(pid, status)
        settled = len(children.workers) == len(children.handles) - 2 == count
        return settled and not children.unready

    wait_until(is_settled, f"{count} workers, and no other")
    return [worker.pid for worker in children.workers]


def _with_workers(count: int, work: Callable[[Children, list[socket.socket]], None]) -> None:
    """Run the work in a child, with so many workers that serve; rows are there for eight."""

    def run() -> None:
        with ExitStack() as stack:
            sockets = [
                stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)
            ]
            children = _children(_serve, sockets, spare=8 - count)
            children.start()
            try:
                _settle(children, count)
                work(children, sockets)
            finally:
                children.kill()
                _ends(children)

    assert join(fork(run)) == [0]


@pytest.mark.parametrize("wishes", sorted({*permutations(("roll", 1, 2, 3))}, key=str))
def test_a_restart_and_changes_of_the_number_forget_nothing_of_each_other(
    wishes: tuple[str | int, ...],
) -> None:
    """All that were there when the restart began are replaced; the last number counts."""

    def work(children: Children, sockets: list[socket.socket]) -> None:
        before, count = {worker.pid for worker in children.workers}, len(sockets)
        for wish in wishes:
            if isinstance(wish, int):
                children.resize(wish)
                count = wish
            else:
                children.roll()
            children.tick(time.monotonic())
        wait_until(lambda: before.isdisjoint(_settle(children, count)), "all are new")

    _with_workers(3, work)


def test_who_can_stay_stays_when_the_number_changes() -> None:
    """Fewer: the others stand in on the sockets of those that went. More: nobody is touched."""

    def work(children: Children, sockets: list[socket.socket]) -> None:
        before = {worker.pid for worker in children.workers}
        children.resize(2)
        fewer = set(_settle(children, 2))
        assert fewer < before
        children.tick(time.monotonic())
        assert sum(worker.context.row.stands_in for worker in children.workers) == 0b100
        children.resize(3)
        more = set(_settle(children, 3))
        assert fewer < more
        children.tick(time.monotonic())
        assert not any(worker.context.row.stands_in for worker in children.workers)

    _with_workers(3, work)


def test_who_knows_a_new_socket_stays_to_stand_in_there() -> None:
    """Those from before it cannot: fewer again means one of those less."""

    def work(children: Children, sockets: list[socket.socket]) -> None:
        sockets.append(socket.create_server(("127.0.0.1", 0)))
        children.resize(3)
        three = set(_settle(children, 3))
        children.resize(2)
        assert set(_settle(children, 2)) < three
        children.tick(time.monotonic())
        served = [1 << one.place | one.context.row.stands_in for one in children.workers]
        assert sum(served) == 0b111

    _with_workers(2, work)


def test_a_socket_that_was_opened_for_nobody_is_served() -> None:
    """The number went up and down again before the worker was there."""

    def work(children: Children, sockets: list[socket.socket]) -> None:
        sockets.append(socket.create_server(("127.0.0.1", 0)))
        children.resize(3)
        children.resize(2)
        before = {worker.pid for worker in children.workers}

        def is_served() -> bool:
            now = _settle(children, 2)
            served = [1 << one.place | one.context.row.stands_in for one in children.workers]
            return len(before.intersection(now)) == 1 and sum(served) == 0b111

        wait_until(is_served, "one was replaced, and stands in")

    _with_workers(2, work)


def test_a_worker_that_dies_during_a_restart_is_not_replaced_twice() -> None:
    """It is forked anew by then, which is all that was asked for."""

    def work(children: Children, sockets: list[socket.socket]) -> None:
        first, second = children.workers
        children.roll()
        _kill(children, second)
        second.restart_at = 0.0
        _settle(children, 2)
        wait_until(lambda: _settle(children, 2) and first not in children.workers, "a new one")
        _settle(children, 2)
        assert second in children.workers

    _with_workers(2, work)


def test_a_crash_counts_as_a_start_of_the_same_worker_and_a_restart_does_not() -> None:
    """What is planned is no reason to look into the log, whoever had the row before."""

    def work(children: Children, sockets: list[socket.socket]) -> None:
        _kill(children, children.workers[0])
        _settle(children, 2)
        assert sorted(worker.context.row.starts for worker in children.workers) == [1, 2]
        for _ in range(2):
            children.roll()
            _settle(children, 2)
        assert [worker.context.row.starts for worker in children.workers] == [1, 1]

    _with_workers(2, work)


def _kill(children: Children, child: ChildHandle) -> float:
    """Kill a child, and note that it is gone; returns how long its successor is to wait."""
    child.signal(signal.SIGKILL)
    pid, status = os.waitpid(child.pid, 0)
    before = time.monotonic()
    children.ended(pid, status)
    return child.restart_at - before


def test_one_worker_stands_in_for_another_until_that_is_there_again() -> None:
    """It is told so by its bell; for one that merely keeps silent, too."""

    def work() -> None:
        listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
        children = _children(_serve, listeners)
        children.start()
        wait_until(lambda: not children.unready, "all serve")
        first, second = children.workers
        children.tick(time.monotonic())
        assert first.context.row.stands_in == second.context.row.stands_in == 0
        _kill(children, second)
        children.tick(time.monotonic())
        assert first.context.row.stands_in == 0b10
        assert children.shared.bells is not None
        assert os.eventfd_read(children.shared.bells.of(first.context.row_number)) == 1
        wait_until(lambda: not children.unready, "the successor serves")
        children.tick(time.monotonic())
        assert first.context.row.stands_in == 0
        first.signal(signal.SIGSTOP)

        def is_stood_in_for() -> bool:
            children.tick(time.monotonic())
            return second.context.row.stands_in == 0b01

        wait_until(is_stood_in_for, "the silent one is stood in for")
        children.kill()
        assert len(_ends(children)) == 4

    assert join(fork(work)) == [0]


def _fail(context: Context) -> NoReturn:
    del context
    os._exit(1)


def test_clients_wait_longer_for_a_worker_that_never_serves_than_for_one_that_did() -> None:
    """Whoever kills workers that serve again and again is to find another one each time."""

    def work() -> None:
        for run, is_quick in ((_serve, True), (_fail, False)):
            with socket.create_server(("127.0.0.1", 0)) as listener:
                children = _children(run, [listener])
                children.start()
                [worker], wait_s = children.workers, 0.0
                for _ in range(5):
                    if is_quick:
                        wait_until(lambda: not children.unready, "all serve")  # noqa: B023
                    wait_s = _kill(children, worker)
                    children.tick(worker.restart_at)
                assert (wait_s <= 2 * SERVED_WAIT_S) == is_quick
                children.kill()
                _ends(children)

    assert join(fork(work)) == [0]
