"""What servers say of changes, and which answers are not good any more for it."""

import pytest

from only1mcp._speedups import scan
from only1mcp.host.staleness import Staleness
from only1mcp.memory.cache_epochs import RESOURCE, TOOL, CacheEpochs
from only1mcp.memory.layout import Layout, SharedMemory
from tests.support.lock_file import LOCK_FILE
from tests.support.messages import notification

DIRECTORY, FILE, OTHER = "file:///d/", "file:///d/f", "file:///e"


class Subject:
    """Two servers, of which the first has a resource that is watched."""

    def __init__(self) -> None:
        self.epochs = CacheEpochs(SharedMemory(Layout(1, 2, 1)), LOCK_FILE)
        self.staleness = Staleness(
            self.epochs, lambda: {"a": 0, "b": 1}, lambda one: [DIRECTORY] if one == "a" else []
        )

    def stamps(self) -> dict[tuple[int, str, str], int]:
        """Return what answers are good for."""
        words, found = self.epochs.words, {}
        targets = [(TOOL, "x"), (RESOURCE, DIRECTORY), (RESOURCE, FILE), (RESOURCE, OTHER)]
        for slot in (0, 1):
            for method, target in targets:
                server, one = self.epochs.places(slot, method, target)
                found[slot, method, target] = words[0] + words[server] + words[one]
        return found

    def changed(self, before: dict[tuple[int, str, str], int]) -> set[tuple[int, str, str]]:
        """Return what has changed since."""
        return {key for key, value in self.stamps().items() if value != before[key]}


def test_a_new_host_has_missed_what_was_said_before() -> None:
    """Nothing that was kept is trusted."""
    memory = SharedMemory(Layout(1, 2, 1))
    epochs = CacheEpochs(memory, LOCK_FILE)
    Staleness(epochs, dict, lambda _: [])
    assert epochs.words[0] == 1


def test_an_update_is_of_the_resource_and_of_those_that_it_is_a_part_of() -> None:
    """A client that watches a directory is told of its files."""
    subject = Subject()
    before = subject.stamps()
    subject.staleness.updated("a", FILE)
    assert subject.changed(before) == {(0, RESOURCE, FILE), (0, RESOURCE, DIRECTORY)}


def test_changed_lists_are_of_the_whole_server_and_no_other() -> None:
    """Other tools may answer otherwise under the same name."""
    subject = Subject()
    before = subject.stamps()
    subject.staleness.lists_changed("b")
    assert subject.changed(before) == {key for key in before if key[0] == 1}


@pytest.mark.parametrize(
    ("method", "params", "count"),
    [("notifications/tools/list_changed", None, 4), ("notifications/prompts/list_changed", {}, 4),
     ("notifications/resources/updated", {"uri": OTHER}, 1),
     ("notifications/resources/updated", {"uri": 1}, 0),
     ("notifications/resources/updated", None, 0), ("notifications/message", {"data": 1}, 0)],
)  # fmt: skip
def test_what_is_said_on_the_connection_of_one_client_counts(
    method: str, params: dict[str, object] | None, count: int
) -> None:
    """The server is the same."""
    subject = Subject()
    before = subject.stamps()
    subject.staleness.said("a", scan(notification(method, params)))
    assert len(subject.changed(before)) == count


def test_a_server_that_was_removed_changes_nothing() -> None:
    """Its last words may come late."""
    subject = Subject()
    before = subject.epochs.changes
    subject.staleness.lists_changed("gone")
    subject.staleness.updated("gone", FILE)
    assert subject.epochs.changes == before
