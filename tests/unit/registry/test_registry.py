"""Servers are added and removed by many at once; nothing is lost and nobody sees half of it."""

import threading
from collections.abc import Callable, Iterable

import pytest

from only1mcp.registry.registry import DuplicateServer, Registry, ServerNotFound
from tests.support.catalogues import server

THREADS = 100


def all_at_once(works: Iterable[Callable[[], object]]) -> list[BaseException]:
    """Run each work in a thread of its own, all starting together; return what they raised."""
    waiting = list(works)
    barrier = threading.Barrier(len(waiting))
    raised: list[BaseException] = []

    def run(work: Callable[[], object]) -> None:
        barrier.wait()
        try:
            work()
        except (DuplicateServer, ServerNotFound, AssertionError) as error:
            raised.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in waiting]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised


def test_servers_are_listed_in_the_order_of_their_coming() -> None:
    """Configuration order decides who keeps a name."""
    registry = Registry([server("b"), server("a")])
    registry.add(server("c"))
    assert [found.id for found in registry.list()] == ["b", "a", "c"]
    assert registry.get("a") == server("a")
    assert registry.remove("b").id == "b"
    assert [found.id for found in registry.list()] == ["a", "c"]
    assert registry.generation == 4


def test_an_id_is_taken_once() -> None:
    """The first one stays as it was."""
    registry = Registry([server("a", "first")])
    with pytest.raises(DuplicateServer, match="a"):
        registry.add(server("a", "second"))
    assert registry.get("a").prefix == "first"
    assert registry.generation == 1


def test_what_is_not_there_cannot_be_had_or_removed() -> None:
    """And the attempt changes nothing."""
    registry = Registry()
    with pytest.raises(ServerNotFound):
        registry.get("a")
    with pytest.raises(ServerNotFound):
        registry.remove("a")
    assert registry.generation == 0


def test_an_edition_never_changes() -> None:
    """Whoever holds one goes on with what it was."""
    registry = Registry([server("a")])
    before = registry.servers
    registry.add(server("b"))
    registry.remove("a")
    assert list(before) == ["a"]
    with pytest.raises(TypeError):
        before["x"] = server("x")  # type: ignore[index]


def test_a_hundred_threads_add_a_hundred_servers() -> None:
    """None is lost."""
    registry = Registry()
    works = [lambda n=n: registry.add(server(f"s{n}")) for n in range(THREADS)]
    assert all_at_once(works) == []
    assert {found.id for found in registry.list()} == {f"s{n}" for n in range(THREADS)}
    assert registry.generation == THREADS


def test_a_hundred_threads_add_the_same_server_and_one_succeeds() -> None:
    """All others are told that they came too late."""
    registry = Registry()
    raised = all_at_once([lambda: registry.add(server("a"))] * THREADS)
    assert [type(error) for error in raised] == [DuplicateServer] * (THREADS - 1)
    assert registry.generation == 1


def test_a_hundred_threads_remove_the_same_server_and_one_succeeds() -> None:
    """It is removed once."""
    registry = Registry([server("a")])
    raised = all_at_once([lambda: registry.remove("a")] * THREADS)
    assert [type(error) for error in raised] == [ServerNotFound] * (THREADS - 1)
    assert registry.list() == []


def test_adding_and_removing_at_once_loses_nothing() -> None:
    """Each thread does both, many times; readers see whole editions all the while."""
    registry = Registry([server("stays")])

    def come_and_go(name: str) -> None:
        for _ in range(50):
            registry.add(server(name))
            assert registry.get(name).id == name
            registry.remove(name)

    def read() -> None:
        for _ in range(200):
            edition = registry.servers
            assert [edition[key].id for key in edition] == list(edition)
            assert "stays" in edition

    works = [lambda n=n: come_and_go(f"s{n}") for n in range(90)]
    assert all_at_once([*works, *[read] * 10]) == []
    assert [found.id for found in registry.list()] == ["stays"]
    assert registry.generation == 1 + 90 * 100
