"""What the host of the program before ours leaves to us: all of it, some, or nothing."""

import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from only1mcp.host import bequest
from only1mcp.host.bequest import Bequest
from only1mcp.links.frames import Kind
from only1mcp.links.link import Link, serve
from tests.support.loop import eventually, on_loop

LOST = "not all of what clients have subscribed to is taken over"


class Before:
    """A host that says these things to whoever comes."""

    def __init__(self, *events: object, leaves: bool = False) -> None:
        self.links: list[Link] = []
        self.gone: list[Link] = []
        self._events = events
        self._leaves = leaves

    def link(self) -> Link:
        """Make its end of a link."""
        return Link(lambda *frame: None, self.gone.append, self._greet)

    def _greet(self, link: Link) -> None:
        self.links.append(link)
        for event in self._events:
            self.say(event)
        if self._leaves:
            link.close()

    def say(self, event: object) -> None:
        """Say one thing more."""
        payload = event if isinstance(event, bytes) else json.dumps(event).encode()
        self.links[-1].send(Kind.EVENT, 0, payload)


@asynccontextmanager
async def taken(folder: Path, before: Before) -> AsyncIterator[list[dict[str, Any]]]:
    """Take what a host leaves; what was taken grows as long as the block lasts."""
    path, heard = folder / "heir.sock", list[dict[str, Any]]()
    server = await serve(path, before.link)
    try:
        await Bequest(heard.append).accept(path)
        yield heard
    finally:
        server.close()
        for link in before.links:
            link.close()
        await eventually(lambda: len(before.gone) == len(before.links), "the ends")


@on_loop
async def test_what_is_known_is_taken_at_once_and_the_rest_when_it_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """For as long as the other one is there, whose end is nothing to speak of."""
    before = Before({"kept": [7]}, {"told": True})
    async with taken(tmp_path, before) as heard:
        assert heard[0] == {"kept": [7]}
        before.say({"ended": 7})
        await eventually(lambda: heard[-1] == {"ended": 7}, "what was told later")
    assert caplog.text == ""


@on_loop
async def test_a_program_that_leaves_nothing_is_no_obstacle(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """An older one has no such socket: it is said, and that is all."""
    await Bequest(lambda event: None).accept(tmp_path / "heir.sock")
    assert LOST in caplog.text
    assert "No such file" in caplog.text


@pytest.mark.parametrize("leaves", [True, False], ids=["it ends", "it hangs"])
@on_loop
async def test_a_host_that_does_not_come_to_the_end_is_waited_for_no_longer(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, leaves: bool
) -> None:
    """What it did say counts."""
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(bequest, "WAIT_S", 60.0 if leaves else 0.2)
    before = Before({"kept": [7]}, leaves=leaves)
    async with taken(tmp_path, before) as heard:
        await eventually(lambda: heard == [{"kept": [7]}], "what was said")
        (line,) = caplog.messages
        assert LOST in line
        assert ("it has ended" if leaves else "it was not done within 0.2 s") in line
        if not leaves:
            before.say({"kept": [8]})
            before.say({"told": True})
            await eventually(lambda: len(caplog.messages) == 2, "that it is done")
            assert caplog.messages[1].endswith("has told the rest now")
            assert heard[1:] == [{"kept": [8]}]


@on_loop
async def test_a_host_that_turns_strange_once_it_has_told_all_is_heard_no_more(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What clients say to it from then on is not known."""
    async with taken(tmp_path, Before({"told": True})) as heard:
        pass
    assert (heard, caplog.text) == ([], "")
    before = Before({"told": True}, b"{", {"kept": [7]})
    async with taken(tmp_path, before) as heard:
        await eventually(lambda: before.gone, "the end of the link")
    (line,) = caplog.messages
    assert LOST in line
    assert heard == []


@pytest.mark.parametrize("nonsense", [b"{", b"7", {"kept": "x"}])
@on_loop
async def test_a_host_that_says_what_nobody_understands_is_heard_no_more(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, nonsense: object
) -> None:
    """Another version may say things in another way."""
    taken_kept = list[int]()

    def take(event: dict[str, Any]) -> None:
        if "kept" in event:
            taken_kept.append(event["kept"][0] + 0)

    before = Before({"kept": [7]}, nonsense, nonsense)
    server = await serve(tmp_path / "heir.sock", before.link)
    await Bequest(take).accept(tmp_path / "heir.sock")
    await eventually(lambda: len(before.gone) == 1, "the end of the link")
    server.close()
    assert taken_kept == [7]
    (line,) = caplog.messages
    assert LOST in line
    assert "says what we do not know" in line
    assert line.endswith("(messages taken: 1)")
