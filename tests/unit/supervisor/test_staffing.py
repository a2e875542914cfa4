"""Who comes and who goes, told from who is there."""

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from only1mcp.links.runtime_dir import RuntimeDir
from only1mcp.memory.layout import Layout, SharedMemory
from only1mcp.memory.processes import State
from only1mcp.observability.metrics import MetricsPlan
from only1mcp.process.context import Context, Shared
from only1mcp.supervisor.child_handle import ChildHandle
from only1mcp.supervisor.staffing import leaving, vacant
from tests.support.configuration import settings_of

Make = Callable[..., ChildHandle]


@pytest.fixture
def make() -> Iterator[Make]:
    """Return what makes workers: each serves and knows four sockets unless told otherwise."""
    shared = Shared(
        settings_of("version: 1.0"), SharedMemory(Layout(8, 0, MetricsPlan(()).size)),
        RuntimeDir(Path("/nonexistent")), 0, -1, b"", b"",
    )  # fmt: skip
    indices = iter(range(8))
    with socket.socket() as one:

        def worker(
            place: int, *, serves: bool = True, outdated: bool = False, knows: int = 4
        ) -> ChildHandle:
            context = Context(shared, "worker", next(indices), known=(one,) * knows)
            context.row.state = State.READY if serves else State.STARTING
            return ChildHandle(
                context, pid=os.getpid(), place=place, has_served=serves, outdated=outdated
            )

        yield worker


def test_nobody_comes_or_goes_while_all_is_as_it_is_wanted(make: Make) -> None:
    """Also in places that are not the first ones: others stand in there."""
    workers = [make(1), make(3)]
    assert leaving(workers, 2) == []
    assert vacant(workers, 2, 4) is None


def test_who_is_too_many_goes_and_who_is_worth_least_first(make: Make) -> None:
    """Who does not serve, then who is to be replaced anyhow, then who knows fewer sockets."""
    dead, old, blind = make(0, serves=False), make(1, outdated=True), make(2, knows=2)
    one, another = make(3), make(4)
    workers = [dead, old, blind, one, another]
    assert leaving(workers, 5) == []
    assert leaving(workers, 4) == [dead]
    assert leaving(workers, 2) == [blind, old, dead]
    assert leaving(workers, 1) == [another, blind, old, dead]


def test_an_old_worker_goes_when_its_successor_serves(make: Make) -> None:
    """Before that nobody else comes, for they come one at a time."""
    old, new, other = make(0, outdated=True), make(0, serves=False), make(1, outdated=True)
    workers = [old, other, new]
    assert (leaving(workers, 2), vacant(workers, 2, 4)) == ([], None)
    new.context.row.state, new.has_served = State.READY, True
    assert (leaving(workers, 2), vacant([other, new], 2, 4)) == ([old], 1)


def test_both_workers_of_a_place_go_with_it(make: Make) -> None:
    """A wish for fewer workers need not wait for the one that comes."""
    old, new, other = make(1, outdated=True), make(1, serves=False), make(0)
    assert leaving([other, old, new], 1) == [old, new]


def test_a_free_place_is_taken_before_a_worker_is_replaced(make: Make) -> None:
    """More hands first; there are no more places than sockets."""
    workers = [make(0, outdated=True), make(2)]
    assert vacant(workers, 3, 4) == 1
    assert vacant(workers, 2, 4) == 0
    assert vacant([make(0)], 2, 1) is None


def test_one_makes_room_where_nobody_could_stand_in(make: Make) -> None:
    """A socket was opened for a worker that was not wanted any more before it was there."""
    workers = [make(0, knows=2), make(1, knows=2)]
    assert vacant(workers, 2, 2) is None
    assert vacant(workers, 2, 3) == 0
    workers[1].pid = 0  # it is about to be forked again, and knows all then
    assert vacant(workers, 2, 3) is None
