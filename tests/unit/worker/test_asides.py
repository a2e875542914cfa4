"""What servers say on the streams of calls: what is forgotten, and what the host is told."""

from typing import Any

import pytest

from only1mcp._speedups import scan
from only1mcp.memory.cache_epochs import RESOURCE, TOOL, CacheEpochs
from only1mcp.memory.layout import Layout, SharedMemory
from only1mcp.worker import asides
from only1mcp.worker.asides import Asides
from tests.support.lock_file import LOCK_FILE
from tests.support.loop import eventually, on_loop
from tests.support.messages import notification

TOOLS, PROMPTS = "notifications/tools/list_changed", "notifications/prompts/list_changed"
UPDATED = "notifications/resources/updated"
TARGETS = [(TOOL, "x"), (RESOURCE, "r://1"), (RESOURCE, "r://2")]


class Subject:
    """A worker before two servers."""

    def __init__(self) -> None:
        self.epochs = CacheEpochs(SharedMemory(Layout(1, 2, 1)), LOCK_FILE)
        self.notes: list[dict[str, Any]] = []
        self.asides = Asides(self.epochs, self.notes.append)
        self.asides.follow({"a": 0, "b": 1})

    def say(self, method: str, server_id: str = "a", **params: object) -> None:
        """Have a server say something on the stream of a call."""
        self.asides.take(server_id, scan(notification(method, params)))

    def stamps(self) -> dict[tuple[int, str], int]:
        """Return what answers are good for."""
        words, found = self.epochs.words, {}
        for slot in (0, 1):
            for method, target in TARGETS:
                server, one = self.epochs.places(slot, method, target)
                found[slot, target] = words[0] + words[server] + words[one]
        return found

    def changed(self, before: dict[tuple[int, str], int]) -> set[tuple[int, str]]:
        """Return what has changed since."""
        return {key for key, value in self.stamps().items() if value != before[key]}


@on_loop
async def test_what_a_server_says_is_forgotten_at_once_each_time() -> None:
    """Before its call is answered, and however short ago the host was told."""
    subject = Subject()
    for _ in range(3):
        before = subject.stamps()
        subject.say(TOOLS)
        assert subject.changed(before) == {(0, "x"), (0, "r://1"), (0, "r://2")}
        before = subject.stamps()
        subject.say(UPDATED, "b", uri="r://1")
        assert subject.changed(before) == {(1, "r://1")}


@on_loop
async def test_the_host_is_told_at_once_and_of_all_that_follows_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However much that is: one note of each server, and then nothing for a while."""
    subject = Subject()
    subject.say(TOOLS)
    assert subject.notes == [{"aside": ["a", [TOOLS], []]}]
    monkeypatch.setattr(asides, "PAUSE_S", 3600)  # the first pause has begun
    for number in range(1000):
        subject.say((TOOLS, PROMPTS)[number % 2])
        subject.say(UPDATED, "b", uri=f"r://{number % 2}")
    assert len(subject.notes) == 1
    await eventually(lambda: len(subject.notes) == 3, "the notes")
    assert subject.notes[1:] == [
        {"aside": ["a", [PROMPTS, TOOLS], []]}, {"aside": ["b", [], ["r://0", "r://1"]]},
    ]  # fmt: skip
    subject.say(TOOLS)
    assert len(subject.notes) == 3


@on_loop
async def test_after_a_pause_the_host_is_told_at_once_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing is told where nothing was said."""
    monkeypatch.setattr(asides, "PAUSE_S", 0)
    subject = Subject()
    for count in (1, 2):
        subject.say(TOOLS)
        assert len(subject.notes) == count
        await eventually(lambda: subject.asides._timer is None, "the pause to end")
    assert subject.notes == [{"aside": ["a", [TOOLS], []]}] * 2


@pytest.mark.parametrize("size", [1, asides.MOST_CHARACTERS])
@on_loop
async def test_more_resources_than_a_note_may_name_stand_for_all(size: int) -> None:
    """Many, or one with an endless name: no server makes a note as large as it likes."""
    subject = Subject()
    subject.say(TOOLS)
    uris = [f"{number}".rjust(size, "r") for number in range(asides.MOST_CHARACTERS)][: 10**4]
    for uri in uris if size == 1 else uris[:1]:
        subject.say(UPDATED, uri=uri)
    subject.say(UPDATED, uri="r://1")
    await eventually(lambda: len(subject.notes) == 2, "the note")
    assert subject.notes[1] == {"aside": ["a", [], None]}


@on_loop
async def test_what_says_nothing_is_told_to_nobody() -> None:
    """Of servers that are configured no more, of no resource, of lists that there are not."""
    subject = Subject()
    before = subject.epochs.changes
    subject.say(TOOLS, "gone")
    subject.say(UPDATED)
    subject.say(UPDATED, uri=1)
    subject.say("notifications/x/list_changed")
    subject.asides.follow({"b": 1})
    subject.say(TOOLS, "a")
    assert (subject.epochs.changes, subject.notes) == (before, [])
