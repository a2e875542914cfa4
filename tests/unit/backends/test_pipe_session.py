"""Many calls at once on one channel of lines."""

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any

import pytest

from only1mcp._speedups import Envelope
from only1mcp.backends import pipe_session
from only1mcp.backends.call import NOTHING, Outgoing
from only1mcp.backends.pipe_session import PipeSession, shake_hands
from only1mcp.errors import (
    BackendLost,
    BackendProtocolError,
    BackendTimeout,
    BackendUnreachable,
    Overloaded,
)
from only1mcp.protocol.client_features import Feature
from only1mcp.protocol.versions import NEWEST_LEGACY, Era
from tests.support.loop import eventually, on_loop
from tests.support.messages import MODERN
from tests.support.sink import Sink

LONG_S = 30.0
CALL = Outgoing("tools/call", b'{"name":"x","n":1.0}', Era.LEGACY)


class Peer:
    """The other end of the channel: it remembers what is written, and answers by a script."""

    def __init__(
        self, script: Callable[[Any], object] | None = None, features: Feature = NOTHING
    ) -> None:
        self.written: list[bytes] = []
        self.notified: list[str] = []
        self.takes_more = True
        self._script = script
        self.session = PipeSession(
            "srv", self._write, lambda message: self.notified.append(message.method or ""), features
        )

    def _write(self, message: bytes) -> bool:
        if not self.takes_more:
            return False
        self.written.append(message)
        parsed = json.loads(message)
        if self._script is not None and "id" in parsed:
            answer = self._script(parsed)
            if answer is not None:
                self.say({"jsonrpc": "2.0", "id": parsed["id"], **answer})  # type: ignore[dict-item]
        return True

    def say(self, message: object) -> None:
        """Send the session a message."""
        self.session.on_line(json.dumps(message).encode())

    @property
    def messages(self) -> list[Any]:
        """What was written, parsed."""
        return [json.loads(message) for message in self.written]


def test_replies_find_their_calls_in_whatever_order_they_come() -> None:
    """By an id of ours, which the clients never see."""
    peer = Peer()
    sinks = [Sink() for _ in range(5)]
    for sink in sinks:
        peer.session.call(CALL, sink)
    ids = [message["id"] for message in peer.messages]
    assert len(set(ids)) == 5
    for number in (3, 0, 4, 1, 2):
        peer.say({"jsonrpc": "2.0", "id": ids[number], "result": {"n": number}})
    for number, sink in enumerate(sinks):
        (reply,) = sink.heard
        assert isinstance(reply, Envelope)
        assert json.loads(reply.body)["result"] == {"n": number}


def test_parameters_are_written_as_they_are() -> None:
    """Byte for byte."""
    peer = Peer()
    peer.session.call(CALL, Sink())
    assert peer.written == [
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","n":1.0}}'
    ]


def test_a_cancelled_call_is_forgotten_and_the_server_is_told() -> None:
    """Once; its late reply reaches nobody."""
    peer, sink = Peer(), Sink()
    cancel = peer.session.call(CALL, sink)
    cancel()
    cancel()
    peer.say({"jsonrpc": "2.0", "id": 1, "result": {}})
    assert sink.heard == []
    assert peer.messages[1:] == [
        {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}
    ]


def test_cancelling_after_the_reply_does_nothing() -> None:
    """There is nothing to tell the server."""
    peer, sink = Peer(), Sink()
    cancel = peer.session.call(CALL, sink)
    peer.say({"jsonrpc": "2.0", "id": 1, "result": {}})
    cancel()
    assert len(sink.heard) == len(peer.written) == 1


def test_the_end_of_the_channel_ends_every_call() -> None:
    """Each hears once, with the reason; nothing that comes later matters."""
    peer = Peer()
    sinks = [Sink() for _ in range(3)]
    for sink in sinks:
        peer.session.call(CALL, sink)
    peer.session.close("exited with code 1")
    peer.session.close("again")
    peer.say({"jsonrpc": "2.0", "id": 1, "result": {}})
    for sink in sinks:
        (failure,) = sink.heard
        assert isinstance(failure, BackendLost)
        assert str(failure) == "server srv exited with code 1 during the call"


def test_a_channel_that_takes_no_more_fails_the_call_at_once() -> None:
    """It never left, so it may be tried elsewhere; no reply can end it again."""
    peer, sink = Peer(), Sink()
    peer.takes_more = False
    cancel = peer.session.call(CALL, sink)
    cancel()
    peer.say({"jsonrpc": "2.0", "id": 1, "result": {}})
    (failure,) = sink.heard
    assert isinstance(failure, BackendUnreachable)
    assert peer.written == []


def test_calls_under_way_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """One more is refused; after an answer there is room again."""
    monkeypatch.setattr(pipe_session, "MAX_PENDING", 3)
    peer = Peer()
    for _ in range(3):
        peer.session.call(CALL, Sink())
    refused, accepted = Sink(), Sink()
    peer.session.call(CALL, refused)()
    assert isinstance(refused.heard[0], Overloaded)
    peer.say({"jsonrpc": "2.0", "id": 1, "result": {}})
    peer.session.call(CALL, accepted)
    assert (accepted.heard, len(peer.written)) == ([], 4)


def test_the_server_s_own_requests_are_answered() -> None:
    """Ping with a result, all else with an error; ids of any kind are echoed."""
    peer = Peer()
    for request_id in (7, "a", "é\n"):
        peer.say({"jsonrpc": "2.0", "id": request_id, "method": "ping"})
        peer.say({"jsonrpc": "2.0", "id": request_id, "method": "roots/list", "params": {}})
    answers = peer.messages
    assert [answer["id"] for answer in answers] == [7, 7, "a", "a", "é\n", "é\n"]
    assert answers[0]["result"] == {}
    assert answers[1]["error"]["code"] == -32601


def test_notifications_are_passed_on_by_their_method() -> None:
    """With or without parameters."""
    peer = Peer()
    peer.say({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"})
    peer.say({"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": 1}})
    assert peer.notified == ["notifications/tools/list_changed", "notifications/message"]


@pytest.mark.parametrize(
    "line",
    [b"Server running on stdio", b"{", b"{}", b"[]", b"1", b"null", b"\xff", b'{"jsonrpc":"2.0"}',
     b'[{"jsonrpc":"2.0","id":1,"result":{}}]', b'{"jsonrpc":"2.0","id":null,"result":{}}',
     b'{"jsonrpc":"2.0","id":99,"result":{}}', b'{"jsonrpc":"2.0","id":"1","result":{}}',
     b'{"jsonrpc":"2.0","id":1.0,"result":{}}'],
)  # fmt: skip
def test_a_line_that_answers_nobody_does_no_harm(line: bytes) -> None:
    """The call under way is answered all the same."""
    peer, sink = Peer(), Sink()
    peer.session.call(CALL, sink)
    peer.session.on_line(line)
    assert sink.heard == []
    peer.say({"jsonrpc": "2.0", "id": 1, "result": {}})
    assert len(sink.heard) == 1
    assert len(peer.written) == 1


def test_garbage_is_logged_now_and_then(caplog: pytest.LogCaptureFixture) -> None:
    """A server that prints a lot does not fill the log."""
    peer = Peer()
    with caplog.at_level(logging.WARNING, "only1mcp"):
        for _ in range(2000):
            peer.session.on_line(b"hello " + b"x" * 1000)
    counts = [record.args[0] for record in caplog.records if isinstance(record.args, tuple)]
    assert counts == [1, 10, 100, 1000, 2000]
    assert all(len(str(record.__dict__["detail"])) < 400 for record in caplog.records)


@on_loop
async def test_a_request_of_our_own_is_waited_for() -> None:
    """Its response is returned, be it a result or an error."""
    peer = Peer(lambda message: {"error": {"code": 5, "message": "no"}})
    reply = await peer.session.request(CALL, LONG_S)
    assert reply.error_end > reply.error_start


@on_loop
async def test_a_request_that_is_not_answered_in_time_is_cancelled() -> None:
    """The server is told, the caller learns which method it was."""
    peer = Peer()
    with pytest.raises(BackendTimeout, match=r"did not answer tools/call within 0\.02 s"):
        await peer.session.request(CALL, 0.02)
    assert peer.messages[1]["method"] == "notifications/cancelled"


@on_loop
async def test_a_waiter_that_is_cancelled_cancels_its_request() -> None:
    """And passes the cancellation on."""
    peer = Peer()
    task = asyncio.get_running_loop().create_task(peer.session.request(CALL, LONG_S))
    await eventually(lambda: peer.written, "the request")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert peer.messages[1]["method"] == "notifications/cancelled"


@on_loop
async def test_the_end_of_the_channel_wakes_whoever_waits() -> None:
    """With the failure, and without telling a server that is not there."""
    peer = Peer()
    task = asyncio.get_running_loop().create_task(peer.session.request(CALL, LONG_S))
    await eventually(lambda: peer.written, "the request")
    peer.session.close("is gone")
    with pytest.raises(BackendLost):
        await task
    assert len(peer.written) == 1


def legacy_server(message: Any) -> object:
    """Answer as a server of 2025-11-25."""
    if message["method"] == "initialize":
        return {"result": {"protocolVersion": NEWEST_LEGACY, "capabilities": {"tools": {}}}}
    return {"error": {"code": -32601, "message": "no"}}


def modern_server(message: Any) -> object:
    """Answer as a server of 2026-07-28."""
    if message["method"] == "server/discover":
        return {"result": {"supportedVersions": [MODERN], "capabilities": {"tools": {}}}}
    return {"error": {"code": -32601, "message": "no"}}


@on_loop
async def test_a_modern_server_is_met_by_the_probe_alone() -> None:
    """No initialize, which could pin it to the other era."""
    peer = Peer(modern_server)
    hello = await shake_hands(peer.session, LONG_S, probe=True)
    assert hello.era is Era.MODERN
    assert [message["method"] for message in peer.messages] == ["server/discover"]


@on_loop
async def test_a_legacy_server_is_met_by_initialize_after_the_probe() -> None:
    """And told when we are ready."""
    peer = Peer(legacy_server)
    hello = await shake_hands(peer.session, LONG_S, probe=True)
    assert (hello.era, hello.version) == (Era.LEGACY, NEWEST_LEGACY)
    assert [message["method"] for message in peer.messages] == [
        "server/discover", "initialize", "notifications/initialized",
    ]  # fmt: skip


@on_loop
async def test_a_server_that_cannot_stand_the_probe_is_spared_it() -> None:
    """It hears initialize first."""
    peer = Peer(legacy_server)
    await shake_hands(peer.session, LONG_S, probe=False)
    assert peer.messages[0]["method"] == "initialize"


@on_loop
async def test_a_server_that_speaks_no_revision_of_ours_is_refused() -> None:
    """It is told nothing more."""
    peer = Peer(lambda message: {"error": {"code": -32601, "message": "no"}})
    with pytest.raises(BackendProtocolError):
        await shake_hands(peer.session, LONG_S, probe=True)
    assert [message["method"] for message in peer.messages] == ["server/discover", "initialize"]


@on_loop
async def test_a_server_that_stays_silent_is_a_timeout() -> None:
    """To the probe as to initialize."""
    for probe in (True, False):
        with pytest.raises(BackendTimeout):
            await shake_hands(Peer().session, 0.02, probe=probe)


RELATED = {"io.modelcontextprotocol/related-task": {"taskId": "t1"}}
RESULT = Outgoing("tasks/result", b'{"taskId":"t1"}', Era.LEGACY)


def asked(*sinks: Sink) -> list[list[bytes | None]]:
    """Return the ids of the questions that each call heard."""
    return [[message.id for message, _ in sink.questions] for sink in sinks]


def ask(peer: Peer, request_id: int, **params: object) -> None:
    """Ask the client something."""
    peer.say({"jsonrpc": "2.0", "id": request_id, "method": "elicitation/create", "params": params})


def test_a_question_of_a_task_is_asked_with_the_task_s_result() -> None:
    """Not with a poll that ends before anybody can answer."""
    peer = Peer(features=Feature.ELICIT_FORM)
    result, other, poll = Sink(), Sink(), Sink()
    peer.session.call(RESULT, result)
    peer.session.call(Outgoing("tasks/result", b'{"taskId":"t2"}', Era.LEGACY), other)
    peer.session.call(Outgoing("tasks/get", b'{"taskId":"t1"}', Era.LEGACY), poll)
    ask(peer, 1, message="?", _meta=RELATED)
    ask(peer, 2, message="?")
    assert asked(result, other, poll) == [[b"1"], [], [b"2"]]


def test_a_question_of_a_task_waits_until_somebody_waits_for_its_result() -> None:
    """Calls that come before leave it where it is."""
    peer = Peer(features=Feature.ELICIT_FORM)
    ask(peer, 1, message="?", _meta=RELATED)
    poll, result = Sink(), Sink()
    peer.session.call(Outgoing("tasks/get", b'{"taskId":"t1"}', Era.LEGACY), poll)
    assert asked(poll) == [[]]
    peer.session.call(RESULT, result)
    assert asked(poll, result) == [[], [b"1"]]


def test_progress_whose_call_has_ended_is_passed_on() -> None:
    """A task makes progress after its call was answered."""
    peer = Peer()
    peer.say(
        {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": "o"}}
    )
    assert peer.notified == ["notifications/progress"]
