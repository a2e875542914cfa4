"""To which call on a channel a notification belongs."""

import asyncio

from only1mcp.backends.call import Outgoing
from only1mcp.protocol.versions import Era
from tests.support.loop import eventually, on_loop
from tests.support.pipe_peer import Peer, call, legacy_server, met, modern_server, note

LONG_S = 30.0


def test_progress_finds_its_call_by_its_token() -> None:
    """Of no other does it tell; a task makes progress after its call has ended."""
    peer = Peer()
    first, second, third = call(peer, "a"), call(peer, "b"), call(peer)
    for token in ("b", "c", None, 1):
        note(peer, "progress", progressToken=token, progress=1)
    note(peer, "progress", progress=1)
    assert [len(sink.messages) for sink in (first, second, third)] == [0, 1, 0]
    assert peer.notified == ["notifications/progress"] * 4


def test_a_log_message_belongs_to_the_only_call_it_can_belong_to() -> None:
    """Otherwise to none: messages name no call."""
    peer = Peer()
    note(peer, "message", level="info")
    only = call(peer)
    note(peer, "message", level="info")
    second = call(peer)
    note(peer, "message", level="info")
    assert [sink.methods for sink in (only, second)] == [["notifications/message"], []]
    assert peer.notified == ["notifications/message"] * 2


@on_loop
async def test_a_log_message_is_not_lost_to_a_health_check() -> None:
    """A request of our own beside the client's call does not count; nor does it alone."""
    peer = await met(legacy_server)
    peer.fall_silent()
    ping = Outgoing("ping", b"", Era.LEGACY, safe=True)
    check = asyncio.get_running_loop().create_task(peer.session.request(ping, LONG_S))
    await eventually(lambda: peer.session.busy, "the check is under way")
    note(peer, "message", level="info")
    only = call(peer)
    note(peer, "message", level="info")
    assert (only.methods, peer.notified) == (["notifications/message"], ["notifications/message"])
    check.cancel()
    await asyncio.wait({check})


@on_loop
async def test_a_modern_server_logs_for_the_only_call_that_wants_to_hear_of_it() -> None:
    """A subscription of ours does not."""
    peer = await met(modern_server)
    quiet, curious = call(peer), call(peer, level=3)
    note(peer, "message", level="info")
    assert (quiet.messages, curious.methods) == ([], ["notifications/message"])


@on_loop
async def test_a_legacy_server_logs_as_much_as_any_client_wants() -> None:
    """It is told so once, and only if it can log; nobody waits for its answer."""
    peer = await met(lambda message: legacy_server(message, logging={}))
    before = len(peer.messages)
    sink = call(peer, level=3)
    for level in (None, 3, 5, 1):
        call(peer, level=level)
    told = [m["params"] for m in peer.messages[before:] if m["method"] == "logging/setLevel"]
    assert told == [{"level": "warning"}, {"level": "info"}]
    ids = [message["id"] for message in peer.messages[before:]]
    assert len(set(ids)) == 7
    for request_id in reversed(ids):
        peer.say({"jsonrpc": "2.0", "id": request_id, "result": {}})
    assert (len(sink.heard), peer.session.busy) == (1, False)
    for script in (legacy_server, modern_server):
        mute = await met(script)
        call(mute, level=3)
        assert "logging/setLevel" not in str(mute.messages)
