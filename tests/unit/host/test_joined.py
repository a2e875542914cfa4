"""Several processes of one server that watch and tell as if they were one."""

from collections.abc import Hashable, Iterable
from typing import cast

import pytest

from only1mcp.errors import BackendProtocolError, BackendTimeout, Only1MCPError
from only1mcp.host.feed import Feed
from only1mcp.host.joined import JoinedFeed, JoinedWatches
from only1mcp.host.watches import Watches
from only1mcp.tasks import Tasks
from tests.support.loop import eventually, on_loop


class Told:
    """Stands for the feed of one process, as far as it is told what is watched."""

    def __init__(self, failure: Only1MCPError | None = None) -> None:
        self.watches = Watches()
        self.failure = failure
        self.forgotten: list[str] = []

    async def subscribe(self, uri: str, holder: Hashable) -> None:
        """Take a resource, or fail."""
        if self.failure is not None:
            raise self.failure
        self.watches.add(uri, holder)

    async def unsubscribe(self, uri: str, holder: Hashable) -> None:
        """Take that back."""
        if self.watches.remove(uri, holder):
            self.forgotten.append(uri)

    async def forget(self, uris: Iterable[str]) -> None:
        """Take what nobody watches any more."""
        self.forgotten += uris


def joined(*told: Told, away: tuple[Watches, ...] = ()) -> JoinedFeed:
    """Join the feeds of those that are up, and what those watch that are not."""
    return JoinedFeed([(cast("Feed", one), one.watches) for one in told], away, Tasks())


@on_loop
async def test_every_process_is_told_and_one_that_is_down_will_be() -> None:
    """Also when it is taken back."""
    first, second, away = Told(), Told(), Watches()
    subject = joined(first, second, away=(away,))
    await subject.subscribe("r://1", 7)
    await eventually(lambda: second.watches.uris == ["r://1"], "the second")
    assert first.watches.holders("r://1") == away.holders("r://1") == {7}
    await subject.unsubscribe("r://1", 7)
    assert (first.forgotten, second.forgotten, away.uris) == (["r://1"], ["r://1"], [])
    await subject.forget(uri for uri in ("r://2",))
    assert first.forgotten == second.forgotten == ["r://1", "r://2"]


@on_loop
async def test_a_resource_is_watched_if_one_process_tells_of_it() -> None:
    """One that could not be told is told when it is up again; one that refuses is not."""
    good, late, refusing = Told(), Told(BackendTimeout("slow")), Told(BackendProtocolError("no"))
    await joined(good, late, refusing).subscribe("r://1", 7)
    await eventually(lambda: late.watches.holders("r://1") == {7}, "the note")
    assert refusing.watches.uris == []


@pytest.mark.parametrize("failure", [BackendTimeout("slow"), BackendProtocolError("no")])
@on_loop
async def test_a_resource_of_which_nobody_tells_is_not_watched(failure: Only1MCPError) -> None:
    """Not by those that are down either."""
    both, away = (Told(failure), Told(failure)), Watches()
    with pytest.raises(type(failure)):
        await joined(*both, away=(away,)).subscribe("r://1", 7)
    assert [one.uris for one in (away, *(told.watches for told in both))] == [[], [], []]


def test_what_is_watched_is_the_same_for_all() -> None:
    """Whoever is asked, and whoever comes later."""
    each = [Watches(), Watches()]
    subject = JoinedWatches(lambda: each)
    link = object()
    subject.note("resources/subscribe", "r://1", 7)
    subject.note("resources/subscribe", "r://2", (link, 1))
    later = Watches()
    later.inherit(subject.everything)
    each.append(later)
    assert later.uris == ["r://1", "r://2"]
    assert subject.holders("r://1") == {7}
    assert subject.drop_link(link) == ["r://2"]
    assert not subject.remove("r://1", 8)
    assert subject.remove("r://1", 7)
    subject.inherit({"r://3": {7}})
    assert subject.drop({7}) == ["r://3"]
    assert [one.uris for one in each] == [[], [], []]
