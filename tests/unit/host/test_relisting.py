"""Changed lists are read again, and no change is lost."""

import asyncio
import logging

import pytest

from only1mcp.errors import BackendTimeout
from only1mcp.host import relisting
from only1mcp.host.relisting import Relisting
from only1mcp.tasks import Tasks
from tests.support.loop import eventually, on_loop

TOOLS, PROMPTS = "notifications/tools/list_changed", "notifications/prompts/list_changed"


class Lists:
    """A server whose lists are read; the test says what happens meanwhile."""

    def __init__(self) -> None:
        self.read: list[frozenset[str]] = []
        self.meanwhile: list[str] = []
        """What changes during the next reading."""
        self.failures = 0
        self.tasks = Tasks()
        self.noted: list[str] = []
        self.relisting = Relisting("srv", self._relist, self.tasks, self.noted.append)

    async def _relist(self, kinds: frozenset[str]) -> None:
        self.read.append(kinds)
        while self.meanwhile:
            self.relisting.note(self.meanwhile.pop())
            self.relisting.start()
        if self.failures:
            self.failures -= 1
            raise BackendTimeout("slow")

    def change(self, *methods: str) -> None:
        """Let the server say that lists have changed."""
        for method in methods:
            self.relisting.note(method)
            self.relisting.start()


@pytest.fixture(autouse=True)
def _short_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relisting, "_PAUSE_S", 0.01)


@on_loop
async def test_changes_that_come_together_are_read_together() -> None:
    """And whoever reads is told what has changed."""
    lists = Lists()
    lists.change(TOOLS, PROMPTS, TOOLS)
    await eventually(lambda: lists.read, "the reading")
    lists.change(TOOLS)
    await eventually(lambda: len(lists.read) == 2, "the next one")
    assert lists.read == [frozenset({"tools", "prompts"}), frozenset({"tools"})]
    await lists.tasks.cancel_all()


@on_loop
async def test_a_change_while_lists_are_read_has_them_read_once_more() -> None:
    """By one reader at a time."""
    lists = Lists()
    lists.meanwhile = [TOOLS, TOOLS]
    lists.change(PROMPTS)
    await eventually(lambda: len(lists.read) == 2, "the second reading")
    assert lists.read == [frozenset({"prompts"}), frozenset({"tools"})]
    await lists.tasks.cancel_all()


@on_loop
async def test_without_a_change_nothing_is_read() -> None:
    """Nor what somebody else is about to read anyway."""
    lists = Lists()
    lists.relisting.start()
    lists.relisting.note(TOOLS)
    assert lists.relisting.take() == {"tools"}
    assert lists.relisting.take() == frozenset()
    lists.relisting.start()
    lists.change(PROMPTS)
    await eventually(lambda: lists.read, "the reading")
    assert lists.read == [frozenset({"prompts"})]
    await lists.tasks.cancel_all()


@on_loop
async def test_lists_that_could_not_be_read_are_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A few times, with what the server said of them."""
    monkeypatch.setattr(relisting, "_FIRST_RETRY_S", 0.001)
    lists = Lists()
    lists.failures = 2
    lists.change(TOOLS)
    await eventually(lambda: len(lists.read) == 3, "the last try")
    assert lists.read == [frozenset({"tools"})] * 3
    await lists.tasks.cancel_all()


@on_loop
async def test_lists_that_can_never_be_read_are_left_alone_at_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Until the server says once more that they have changed."""
    monkeypatch.setattr(relisting, "_FIRST_RETRY_S", 0.001)
    monkeypatch.setattr(relisting, "_RETRIES", 2)
    lists = Lists()
    lists.failures = 1000
    lists.change(TOOLS)
    await eventually(lambda: len(lists.read) == 3, "the last try")
    await asyncio.sleep(0.05)
    assert len(lists.read) == 3
    lists.change(PROMPTS)
    await eventually(lambda: len(lists.read) == 6, "three more")
    await lists.tasks.cancel_all()


@on_loop
async def test_lists_are_read_again_where_a_change_may_have_been_missed() -> None:
    """It is noted at once, and no kind counts as said to have changed."""
    lists = Lists()
    lists.relisting.look_again()
    assert lists.noted == ["srv"]
    await eventually(lambda: lists.read, "the reading")
    assert lists.read == [frozenset()]
    await lists.tasks.cancel_all()


@on_loop
async def test_lists_are_not_read_all_the_time_where_changes_may_be_missed_all_the_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The second time waits, and what is said meanwhile waits with it."""
    monkeypatch.setattr(relisting, "_FIRST_REST_S", 0.05)
    lists = Lists()
    for _ in range(5):
        lists.relisting.look_again()
    await eventually(lambda: lists.read, "the first reading")
    assert lists.noted == ["srv"]
    await eventually(lambda: len(lists.read) == 2, "the second one")
    assert lists.noted == ["srv"] * 2
    await lists.tasks.cancel_all()


@on_loop
async def test_what_was_taken_and_could_not_be_read_can_be_put_back() -> None:
    """It is read with what comes next."""
    lists = Lists()
    lists.relisting.note(TOOLS)
    lists.relisting.put_back(lists.relisting.take())
    lists.change(PROMPTS)
    await eventually(lambda: lists.read, "the reading")
    assert lists.read == [frozenset({"tools", "prompts"})]
    await lists.tasks.cancel_all()


@on_loop
async def test_a_change_that_could_not_be_read_is_not_forgotten(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is read with the next change, or whenever the lists are read."""
    lists = Lists()
    lists.failures = 2
    with caplog.at_level(logging.WARNING, "only1mcp"):
        lists.change(TOOLS)
        await eventually(lambda: "could not be read" in caplog.text, "the warning")
    lists.change(PROMPTS)
    await eventually(lambda: len(lists.read) == 2, "the second try")
    assert lists.read[1] == {"tools", "prompts"}
    await eventually(lambda: lists.relisting.take() == {"tools", "prompts"}, "its failure")
