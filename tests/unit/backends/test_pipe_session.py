"""Many calls at once on one channel of lines."""

import asyncio
import json
import logging
from functools import partial

import pytest

from only1mcp._speedups import Envelope
from only1mcp.backends import pipe_session
from only1mcp.backends.call import Outgoing
from only1mcp.errors import (
    BackendLost,
    BackendProtocolError,
    BackendTimeout,
    BackendUnreachable,
    Overloaded,
)
from only1mcp.protocol.client_features import Feature
from only1mcp.protocol.versions import Era
from tests.support.loop import eventually, on_loop
from tests.support.pipe_peer import (
    Peer,
    ask,
    asked,
    call,
    legacy_server,
    met,
    modern_server,
    note,
)
from tests.support.sink import Sink

LONG_S = 30.0
CALL = Outgoing("tools/call", b'{"name":"x","n":1.0}', Era.LEGACY)


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
    (written,) = peer.written
    assert written.endswith(b'"id":1,"method":"tools/call","params":{"name":"x","n":1.0}}')


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


@pytest.mark.parametrize("method", ["initialize", "ping"])
def test_a_question_whether_the_server_is_there_is_not_withdrawn(method: str) -> None:
    """It is forgotten: a server that had to pause may die of the withdrawal."""
    peer, sink = Peer(), Sink()
    cancel = peer.session.call(Outgoing(method, b"", Era.LEGACY), sink)
    cancel()
    peer.say({"jsonrpc": "2.0", "id": 1, "result": {}})
    assert sink.heard == []
    assert [message["method"] for message in peer.messages] == [method]


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


RELATED = {"io.modelcontextprotocol/related-task": {"taskId": "t1"}}
RESULT = Outgoing("tasks/result", b'{"taskId":"t1"}', Era.LEGACY)


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


@on_loop
async def test_a_question_is_put_to_the_newest_call_of_a_channel_s_one_client() -> None:
    """It was told what that one can be asked; on a channel of many nobody can."""
    peer, shared = await met(legacy_server, Feature.ROOTS), await met(legacy_server)
    told = [one.messages[1]["params"]["capabilities"] for one in (peer, shared)]
    assert told == [{"roots": {}}, {}]
    first, second, _ = call(peer), call(peer), call(shared)
    for one in (peer, shared):
        one.say({"jsonrpc": "2.0", "id": "é", "method": "roots/list"})
    ((question, respond),) = second.questions
    respond(b'"result":{"roots":[]}')
    assert (first.questions, question.method) == ([], "roots/list")
    assert peer.messages[-1] == {"jsonrpc": "2.0", "id": "é", "result": {"roots": []}}
    assert shared.messages[-1]["error"]["code"] == -32601


@pytest.mark.parametrize("is_kept", [True, False])
@on_loop
async def test_early_questions_wait_for_a_call_of_the_same_client(is_kept: bool) -> None:
    """Of a connection that the next client may get they are refused; so is what comes meanwhile."""
    peer = await met(legacy_server, Feature.ROOTS)
    if is_kept:
        peer.session.keep_questions()
    for number in (1, 2):
        peer.say({"jsonrpc": "2.0", "id": number, "method": "roots/list"})
    note(peer, "cancelled", requestId=1)
    assert asked(call(peer)) == [[b"2"] if is_kept else []]
    assert ("error" in str(peer.messages)) is not is_kept


@pytest.mark.parametrize("end", ["replied", "cancelled"])
@on_loop
async def test_a_question_outlives_the_call_that_it_was_put_to(end: str) -> None:
    """It goes to a call that waits; after the last one the server hears that nobody is there."""
    peer = await met(legacy_server, Feature.ROOTS)
    first, second, ends = Sink(), Sink(), []
    for sink in first, second:
        cancel = peer.session.call(Outgoing("tools/call", b"{}", Era.LEGACY), sink)
        number = peer.messages[-1]["id"]
        reply = partial(peer.say, {"jsonrpc": "2.0", "id": number, "result": {}})
        ends.append(cancel if end == "cancelled" else reply)
    peer.say({"jsonrpc": "2.0", "id": "q", "method": "roots/list"})
    note(peer, "cancelled", requestId=int(peer.messages[-1]["id"]))  # of no question
    ends[1]()
    assert asked(first, second) == [[b'"q"']] * 2
    second.questions[0][1](b'"result":{"roots":[]}')
    ends[0]()
    assert [one["error"]["code"] for one in peer.messages if one.get("id") == "q"] == [32006]


@pytest.mark.parametrize("end", ["result", "error", "cancelled", "ours"])
@on_loop
async def test_a_subscription_lasts_until_either_side_ends_it(end: str) -> None:
    """The server by a result or by cancelling it, we by cancelling it; it may also refuse."""
    peer = await met(modern_server)
    wanted = Outgoing("subscriptions/listen", b"{}", Era.MODERN)
    task = asyncio.get_running_loop().create_task(peer.session.listen(wanted, peer.hear))
    await eventually(lambda: peer.session.busy, "the subscription")
    request_id = peer.messages[-1]["id"]
    if end == "ours":
        task.cancel()
    elif end == "cancelled":
        note(peer, "cancelled", requestId=request_id)
    else:
        peer.say({"jsonrpc": "2.0", "id": request_id, end: {"code": 1, "message": "no"}})
    await asyncio.wait({task})
    failure = None if end == "ours" else task.exception()
    expected = {"error": BackendProtocolError, "cancelled": BackendLost}.get(end, type(None))
    assert (type(failure), task.cancelled(), peer.session.busy) == (expected, end == "ours", False)
    assert ("notifications/cancelled" in str(peer.messages)) is (end == "ours")
