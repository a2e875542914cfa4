"""The words by which answers that are kept stop being good."""

import pytest

from only1mcp.memory.cache_epochs import RESOURCE, TOOL, CacheEpochs
from only1mcp.memory.layout import Layout, SharedMemory
from tests.support.forking import fork, join
from tests.support.lock_file import LOCK_FILE


@pytest.fixture
def epochs() -> CacheEpochs:
    """Return the words for three servers."""
    return CacheEpochs(SharedMemory(Layout(1, 3, 1)), LOCK_FILE)


def stamp(epochs: CacheEpochs, slot: int, method: str, target: str) -> int:
    """Return what an answer is good for."""
    server, one = epochs.places(slot, method, target)
    return epochs.words[0] + epochs.words[server] + epochs.words[one]


def test_a_change_concerns_what_was_made_of_it_alone(epochs: CacheEpochs) -> None:
    """Everything, one server, or one target of a server."""
    all_of_them = [(0, TOOL, "x"), (0, TOOL, "y"), (0, RESOURCE, "x"), (1, TOOL, "x")]

    def changed() -> list[bool]:
        return [stamp(epochs, *one) != was for one, was in zip(all_of_them, before, strict=True)]

    before = [stamp(epochs, *one) for one in all_of_them]
    epochs.target(0, TOOL, "x")
    assert changed() == [True, False, False, False]
    before = [stamp(epochs, *one) for one in all_of_them]
    epochs.server(0)
    assert changed() == [True, True, True, False]
    before = [stamp(epochs, *one) for one in all_of_them]
    epochs.everything()
    assert changed() == [True] * 4
    assert epochs.changes == 3


def test_places_are_within_the_words_whatever_the_target(epochs: CacheEpochs) -> None:
    """Half a character included, which clients cannot send but servers may list."""
    for target in ("", "\ud800", "x" * 10_000, "\0"):
        server, one = epochs.places(2, TOOL, target)
        assert 2 < server < one < len(epochs.words)


def test_changes_of_several_processes_are_all_counted(epochs: CacheEpochs) -> None:
    """The host and the control process may speak at the same time."""

    def change() -> None:
        for _ in range(500):
            epochs.server(1)

    assert join(*[fork(change) for _ in range(4)]) == [0] * 4
    assert epochs.changes == 2000
    assert stamp(epochs, 1, TOOL, "x") == 2000
