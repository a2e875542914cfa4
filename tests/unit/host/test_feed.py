"""What a server says outside of calls, heard for as long as it is up."""

import asyncio
import contextlib

import pytest

from only1mcp.errors import (
    BackendLost,
    BackendProtocolError,
    BackendTimeout,
    Only1MCPError,
    Overloaded,
)
from only1mcp.host import feed, relisting, watches
from only1mcp.protocol.versions import Era
from tests.support.feeding import ACKNOWLEDGED, NO, OK, Ears, Server, hearing
from tests.support.loop import eventually, on_loop
from tests.support.messages import notification


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_FIRST_PAUSE_S", "_NEXT_PAUSE_S", "_LONGEST_PAUSE_S"):
        monkeypatch.setattr(feed, name, 0.001)


TELLING = {"tools": {"listChanged": True}, "prompts": {"listChanged": False}, "resources": {}}


@on_loop
async def test_a_modern_server_is_asked_for_what_it_can_tell() -> None:
    """And for the resources that are watched, nothing else."""
    async with hearing(capabilities=TELLING) as ears:
        assert (await ears.stream()).wanted == {"toolsListChanged": True}
        await ears.feed.subscribe("r://1", 7)
        assert (await ears.stream(2)).wanted == {
            "toolsListChanged": True, "resourceSubscriptions": ["r://1"],
        }  # fmt: skip


@on_loop
async def test_a_modern_server_that_has_nothing_to_tell_is_left_alone() -> None:
    """Until a resource is watched, and again when none is watched any more."""
    async with hearing(capabilities={"tools": {}}) as ears:
        await ears.feed.unsubscribe("r://1", 7)
        assert ears.server.streams == []
        await ears.feed.subscribe("r://1", 7)
        assert len(ears.server.open) == 1
        await ears.feed.unsubscribe("r://1", 7)
        await eventually(lambda: not ears.server.open, "the end of the stream")
        await ears.feed.subscribe("r://2", 7)
        assert ears.server.open[0].wanted == {"resourceSubscriptions": ["r://2"]}


@pytest.mark.parametrize("era", list(Era))
@on_loop
async def test_what_a_server_says_reaches_whom_it_concerns(era: Era) -> None:
    """Parameters byte for byte; what is malformed or unknown concerns nobody."""
    async with hearing(era, capabilities=TELLING) as ears:
        stream = await ears.stream()
        stream.say(notification("notifications/prompts/list_changed"))
        stream.say(notification("notifications/tools/list_changed", {}))
        params = b'{"n":1.0,"uri":"r://\\u0061"}'
        stream.say(b'{"jsonrpc":"2.0","method":"notifications/resources/updated","params":%b}'
                   % params)  # fmt: skip
        for wrong in (None, {}, {"uri": 5}, {"uri": None}):
            stream.say(notification("notifications/resources/updated", wrong))
        stream.say(b'{"jsonrpc":"2.0","method":"notifications/message","params":{"level":1e0}}')
        stream.say(notification("notifications/unheard/of", {"uri": "x"}))
        await eventually(lambda: ears.relisted, "the lists to be read")
        assert ears.relisted == [frozenset({"tools", "prompts"})]
        assert ears.updated == [("srv", "r://a", params)]
        assert ears.logged == [("srv", b'{"level":1e0}')]


@on_loop
async def test_a_new_subscription_overlaps_the_one_before() -> None:
    """Nothing is missed in between; the watcher goes on when the server has acknowledged."""
    server = Server()
    async with hearing(server=server, capabilities=TELLING) as ears:
        first = await ears.stream()
        server.acknowledges = False
        watching = ears.tasks.spawn(ears.feed.subscribe("r://1", 7))
        second = await ears.stream(2)
        assert server.open == [first, second]
        first.say(notification("notifications/resources/updated", {"uri": "r://1"}))
        assert len(ears.updated) == 1
        assert not watching.done()
        second.say(ACKNOWLEDGED)
        await watching
        await eventually(lambda: server.open == [second], "the end of the first")
        assert first.cancelled


@pytest.mark.parametrize("era", list(Era))
@on_loop
async def test_who_comes_second_waits_for_the_server_too(era: Era) -> None:
    """And learns of its refusal."""
    async with hearing(era, Server(replies=[NO]), TELLING) as ears:
        await ears.stream()
        ears.server.acknowledges = False
        watching = [ears.tasks.spawn(refused(ears, holder)) for holder in (7, 8)]
        if era is Era.MODERN:
            again = await ears.stream(2)
            assert [one.done() for one in watching] == [False, False]
            again.say(ACKNOWLEDGED)
        await asyncio.wait(watching)
        assert ears.watches.uris == (["r://1"] if era is Era.MODERN else [])


@on_loop
async def test_what_a_server_refuses_to_go_on_with_is_asked_for_again() -> None:
    """By the next who wants to watch it, and with each new session; others go on meanwhile."""
    async with hearing(Era.LEGACY) as ears:
        stream = await ears.stream()
        await ears.feed.subscribe("r://1", 7)
        ears.server.replies = [NO]
        stream.ended.set_result(None)
        await ears.stream(2)
        ears.server.replies = [NO, OK]
        await refused(ears, 8)
        assert ears.watches.holders("r://1") == {7}
        await ears.feed.subscribe("r://1", 8)
        await ears.feed.subscribe("r://1", 9)
        assert len(ears.server.requests) == 4
        assert ears.watches.holders("r://1") == {7, 8, 9}


async def refused(ears: Ears, holder: int) -> None:
    """Watch a resource, which a legacy server refuses."""
    with contextlib.suppress(BackendProtocolError):
        await ears.feed.subscribe("r://1", holder)


@pytest.mark.parametrize("era", list(Era))
@on_loop
async def test_what_may_have_been_missed_counts_as_updated(era: Era) -> None:
    """While nobody listened, or before the server said that it tells of it."""
    async with hearing(era, capabilities=TELLING) as ears:
        await ears.stream()
        await ears.feed.subscribe("r://1", 7)
        assert ears.updated == []
        ears.server.open[-1].ended.set_result(None)
        await eventually(lambda: ears.updated, "the news")
        assert ears.updated == [("srv", "r://1", b'{"uri":"r://1"}')]


@pytest.mark.parametrize("era", list(Era))
@on_loop
async def test_lists_are_read_again_when_a_stream_is_back(
    era: Era, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change may have been said meanwhile. What was no stream at all has missed nothing."""
    monkeypatch.setattr(feed, "_STREAM_S", 60.0)
    monkeypatch.setattr(relisting, "_FIRST_REST_S", 0.001)
    async with hearing(era, capabilities=TELLING) as ears:
        (await ears.stream()).ended.set_result(None)
        (await ears.stream(2)).ended.set_result(None)
        await ears.stream(3)
        assert ears.relisted == []
        monkeypatch.setattr(feed, "_STREAM_S", 0.0)
        ears.server.open[-1].ended.set_result(None)
        await eventually(lambda: ears.relisted, "the reading")
        ears.server.open[-1].ended.set_exception(BackendLost("gone"))
        await eventually(lambda: len(ears.relisted) == 2, "the next one")
        assert ears.relisted == [frozenset()] * 2


@on_loop
async def test_lists_are_read_again_when_a_server_is_slow_to_be_heard(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They were not kept waiting for it; of one that is heard in time nothing is missed."""
    monkeypatch.setattr(feed, "_PATIENCE_S", 0.01)
    async with hearing(capabilities=TELLING) as ears:
        await ears.stream()
        await ears.feed.settled()
        assert ears.relisted == []
    async with hearing(server=Server(acknowledges=False), capabilities=TELLING) as ears:
        stream = await ears.stream()
        await ears.feed.settled()
        stream.say(ACKNOWLEDGED)
        await eventually(lambda: ears.relisted, "the reading")
        assert ears.relisted == [frozenset()]
    async with hearing(capabilities=TELLING, is_late=True) as ears:
        await eventually(lambda: ears.relisted, "the reading of lists that were read before")


@on_loop
async def test_a_legacy_server_without_a_stream_is_not_waited_for_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is told what is watched; it may get a stream."""
    monkeypatch.setattr(feed, "_RENEWAL_S", 0.01)
    failures: list[Only1MCPError] = [BackendLost("gone")] * 10_000
    async with hearing(Era.LEGACY, Server(failures=failures)) as ears:
        await ears.stream()
        await ears.feed.subscribe("r://1", 7)
        assert ears.server.failures
        assert ("resources/subscribe", "r://1") in ears.server.requests


@on_loop
async def test_watchers_that_come_while_a_subscription_is_renewed_are_not_forgotten() -> None:
    """The next one tells of all."""
    server = Server()
    async with hearing(server=server, capabilities=TELLING) as ears:
        await ears.stream()
        await asyncio.gather(*(ears.feed.subscribe(f"r://{n}", n) for n in range(5)))

        def is_complete() -> bool:
            (newest,) = server.open[-1:]
            return newest.wanted.get("resourceSubscriptions") == [f"r://{n}" for n in range(5)]

        await eventually(is_complete, "a subscription to all")
        await eventually(lambda: len(server.open) == 1, "the end of the others")


@on_loop
async def test_only_the_first_and_the_last_holder_change_a_subscription() -> None:
    """The others find it as they need it."""
    async with hearing(capabilities=TELLING) as ears:
        await ears.stream()
        await ears.feed.subscribe("r://1", 7)
        await ears.feed.subscribe("r://1", 8)
        await ears.feed.unsubscribe("r://1", 7)
        await ears.feed.unsubscribe("r://1", 9)
        assert len(ears.server.streams) == 2
        await ears.feed.unsubscribe("r://1", 8)
        assert (await ears.stream(3)).wanted == {"toolsListChanged": True}


@on_loop
async def test_a_server_that_does_not_acknowledge_is_not_waited_for_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It may tell all the same."""
    monkeypatch.setattr(feed, "_RENEWAL_S", 0.01)
    server = Server()
    async with hearing(server=server, capabilities=TELLING) as ears:
        await ears.stream()
        server.acknowledges = False
        await ears.feed.subscribe("r://1", 7)
        assert ears.watches.uris == ["r://1"]


@pytest.mark.parametrize("era", list(Era))
@on_loop
async def test_a_stream_that_ends_is_opened_again(era: Era) -> None:
    """However it ended; with all that is watched by then."""
    async with hearing(era, capabilities=TELLING) as ears:
        await ears.stream()
        await ears.feed.subscribe("r://1", 7)
        for number, failure in enumerate((None, BackendLost("gone"), Overloaded("later"))):
            count = len(ears.server.streams)
            stream = ears.server.open[-1]
            if failure is None:
                stream.ended.set_result(None)
            else:
                stream.ended.set_exception(failure)
            again = await ears.stream(count + 1)
            if era is Era.MODERN:
                assert again.wanted["resourceSubscriptions"] == ["r://1"]
            else:
                assert ears.server.requests == [("resources/subscribe", "r://1")] * (number + 2)


@pytest.mark.parametrize("era", list(Era))
@on_loop
async def test_a_server_that_cannot_be_reached_is_tried_again_and_again(era: Era) -> None:
    """Until it can."""
    failures: list[Only1MCPError] = [BackendLost("gone"), BackendTimeout("slow"), Overloaded("x")]
    async with hearing(era, Server(failures=failures), TELLING) as ears:
        await ears.stream(4)
        await eventually(lambda: ears.server.open, "the stream")


@on_loop
async def test_a_server_without_a_stream_is_left_alone_for_long() -> None:
    """Be it that it refuses, ends the subscription unacknowledged, or has no stream at all."""
    refusing = BackendProtocolError("no stream to follow (HTTP 405)")
    async with (
        hearing(Era.LEGACY, Server(failures=[refusing])) as legacy_one,
        hearing(Era.MODERN, Server(failures=[refusing]), TELLING) as modern,
        hearing(Era.MODERN, Server(acknowledges=False), TELLING) as silent,
        hearing(Era.MODERN, Server(), TELLING) as other,
    ):
        (await silent.stream()).ended.set_result(None)
        for count in range(1, 5):
            (await other.stream(count)).ended.set_result(None)
        await other.stream(5)
        assert [len(ears.server.streams) for ears in (legacy_one, modern, silent)] == [1, 1, 1]


@on_loop
async def test_a_server_may_get_a_stream_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """With an update; it is tried now and then."""
    monkeypatch.setattr(feed, "_NO_STREAM_PAUSE_S", 0.01)
    refusing = BackendProtocolError("no stream to follow (HTTP 405)")
    async with hearing(Era.LEGACY, Server(failures=[refusing])) as ears:
        await ears.stream(2)
        await eventually(lambda: ears.server.open, "the stream")


@on_loop
async def test_a_legacy_server_is_told_of_the_first_and_the_last_holder() -> None:
    """By requests of ours."""
    async with hearing(Era.LEGACY) as ears:
        await ears.stream()
        for holder in (7, 8):
            await ears.feed.subscribe("r://é", holder)
        for holder in (8, 9, 7):
            await ears.feed.unsubscribe("r://é", holder)
        assert ears.server.requests == [
            ("resources/subscribe", "r://é"), ("resources/unsubscribe", "r://é"),
        ]  # fmt: skip


@pytest.mark.parametrize("reply", [NO, BackendTimeout("slow"), Overloaded("later")])
@on_loop
async def test_a_watch_that_failed_is_none(reply: bytes | Only1MCPError) -> None:
    """Whoever asked learns why, and the next one asks the server anew."""
    async with hearing(Era.LEGACY, Server(replies=[reply])) as ears:
        await ears.stream()
        with pytest.raises(Only1MCPError) as caught:
            await ears.feed.subscribe("r://1", 7)
        if reply is NO:
            assert str(caught.value) == "server srv: not here"
        assert ears.watches.uris == []
        await ears.feed.subscribe("r://1", 8)
        assert len(ears.server.requests) == 2


@on_loop
async def test_what_a_server_no_longer_has_does_not_keep_it_from_being_heard() -> None:
    """After a break the other resources are watched again."""
    async with hearing(Era.LEGACY) as ears:
        stream = await ears.stream()
        for number in range(3):
            await ears.feed.subscribe(f"r://{number}", 7)
        ears.server.replies = [OK, NO, OK]
        stream.ended.set_result(None)
        await ears.stream(2)
        assert [uri for _, uri in ears.server.requests[3:]] == ["r://0", "r://1", "r://2"]


@on_loop
async def test_watched_resources_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client cannot make the host grow without end."""
    monkeypatch.setattr(watches, "MAX_WATCHED", 1)
    async with hearing(Era.LEGACY) as ears:
        await ears.stream()
        await ears.feed.subscribe("r://1", 7)
        with pytest.raises(Overloaded):
            await ears.feed.subscribe("r://2", 7)
        assert len(ears.server.requests) == 1


@on_loop
async def test_what_nobody_watches_any_more_is_taken_back() -> None:
    """When a worker or a session has gone; one failure does not stop the rest."""
    async with hearing(Era.LEGACY) as ears:
        await ears.stream()
        for number in range(3):
            await ears.feed.subscribe(f"r://{number}", 7)
        ears.server.requests.clear()
        ears.server.replies = [OK, BackendTimeout("slow"), NO]
        await ears.feed.forget(ears.watches.drop({7}))
        assert [uri for _, uri in ears.server.requests] == ["r://0", "r://1", "r://2"]
    async with hearing(Era.MODERN, capabilities=TELLING) as ears:
        await ears.feed.subscribe("r://1", 7)
        count = len(ears.server.streams)
        await ears.feed.forget(ears.watches.drop({7}))
        assert (await ears.stream(count + 1)).wanted == {"toolsListChanged": True}


@on_loop
async def test_a_feed_that_is_ended_ends_all_its_streams() -> None:
    """Also while one overlaps another."""
    server = Server()
    with contextlib.suppress(asyncio.CancelledError):
        async with hearing(server=server, capabilities=TELLING) as ears:
            await ears.stream()
            server.acknowledges = False
            ears.tasks.spawn(ears.feed.subscribe("r://1", 7))
            await ears.stream(2)
            assert len(server.open) == 2
    assert server.open == []
