"""One client on a channel of messages: what stdio's rules say, without a header anywhere."""

from dataclasses import replace
from typing import Any

import pytest

from only1mcp.errors import BackendLost
from only1mcp.ingress import duplex
from only1mcp.protocol.headers import McpHeaders
from tests.support.catalogues import catalogue, tool
from tests.support.channel import VERSION, Channel, hello
from tests.support.desk import Desk, tool_result
from tests.support.loop import eventually, on_loop
from tests.support.messages import encode, modern

CALL = {"name": "a__x"}
LISTEN = {"notifications": {"toolsListChanged": True}}
SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId"


def channel(**more: Any) -> Channel:
    """Open a channel to a gateway with one server."""
    return Channel(Desk(catalogue("a", tools="x", resources="r:1", prompts="p"), **more))


def error(message: dict[str, Any]) -> tuple[object, int]:
    """Return id and code of an error."""
    return message["id"], message["error"]["code"]


@on_loop
async def test_a_session_is_opened_and_every_later_request_is_of_it() -> None:
    """The client never sees its id."""
    subject = channel()
    subject.legacy("initialize", hello(), request_id=0)
    subject.legacy("tools/list", request_id=1)
    assert [message["id"] for message in subject.read] == [0, 1]
    assert subject.read[1]["result"]["tools"][0]["name"] == "a__x"
    opened, used = (request.headers for request in subject.requests)
    assert opened == McpHeaders()
    assert used.version == VERSION
    assert used.session is not None
    assert subject.desk.opened(used.session).version == VERSION


@on_loop
async def test_what_comes_before_the_session_is_open_waits_for_it() -> None:
    """A client may write its first messages in one go; modern ones need no session."""
    subject = channel(learned=False)
    subject.legacy("initialize", hello(), request_id=0)
    subject.notify("notifications/initialized")
    subject.legacy("ping", request_id=1)
    subject.duplex.take(b"{")
    subject.modern("server/discover", request_id=2)
    assert [message["id"] for message in subject.read] == [2]
    subject.desk.learning.learned("legacy")
    assert [message["id"] for message in subject.read] == [2, 0, 1, None]
    subject.desk.audience.changed(frozenset({"tools"}))
    assert subject.read[-1]["method"] == "notifications/tools/list_changed"


@on_loop
async def test_an_initialize_that_fails_opens_nothing_and_holds_nothing_up() -> None:
    """The client may try again."""
    subject = channel(learned=False)
    subject.legacy("initialize", {}, request_id=0)
    subject.legacy("ping", request_id=1)
    subject.desk.learning.learned("legacy")
    assert [error(message) for message in subject.read] == [(0, -32602), (1, -32600)]
    subject.initialize()
    subject.legacy("ping", request_id=2)
    assert subject.read[-1]["result"] == {}


@on_loop
async def test_a_session_hears_what_belongs_to_no_request_once_it_is_initialized() -> None:
    """On the same channel."""
    subject = channel()
    subject.legacy("initialize", hello())
    subject.desk.audience.changed(frozenset({"tools"}))
    assert len(subject.read) == 1
    subject.notify("notifications/initialized")
    subject.notify("notifications/initialized")
    subject.desk.audience.changed(frozenset({"tools"}))
    (heard,) = subject.read[1:]
    assert heard == {"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}


@on_loop
async def test_the_end_of_the_channel_ends_session_stream_and_calls() -> None:
    """As DELETE does; nothing is written after it, and nothing taken."""
    subject = channel()
    session = subject.initialize()
    subject.legacy("tools/call", CALL)
    subject.modern("tools/call", CALL, request_id=2)
    subject.modern("subscriptions/listen", LISTEN, request_id=3)
    written = len(subject.read)
    subject.duplex.close()
    subject.duplex.close()
    assert subject.desk.ended == {subject.desk.opened(session).serial}
    assert [call.cancelled for call in subject.desk.backends["a"].calls] == [True, True]
    subject.desk.audience.changed(frozenset({"tools"}))
    subject.modern("tools/list", request_id=4)
    assert len(subject.read) == written
    assert len(subject.desk.outcomes) == len(subject.requests) == 5


@on_loop
async def test_a_second_initialize_opens_another_session_and_ends_the_first() -> None:
    """So a client whose session has ended can go on."""
    subject = channel()
    first = subject.initialize()
    second = subject.initialize()
    assert first != second
    assert subject.desk.ended == {subject.desk.opened(first).serial}
    subject.desk.audience.changed(frozenset({"tools"}))
    assert len(subject.read) == 1


@on_loop
async def test_legacy_requests_need_a_session_that_lives() -> None:
    """Without one they are answered with an error, and the channel goes on."""
    subject = channel()
    subject.legacy("tools/list")
    assert error(subject.read[-1]) == (1, -32600)
    session = subject.initialize()
    subject.desk.ended.add(subject.desk.opened(session).serial)
    subject.legacy("tools/list", request_id=2)
    assert error(subject.read[-1]) == (2, -32600)
    assert "initialize again" in subject.read[-1]["error"]["message"]
    subject.duplex.close()


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("tools/list", {}), ("tools/call", CALL), ("prompts/get", {"name": "a__p"}),
        ("resources/read", {"uri": "r:1"}), ("server/discover", {}),
    ],
)  # fmt: skip
@on_loop
async def test_modern_requests_need_no_headers(method: str, params: dict[str, Any]) -> None:
    """What headers would say stands in the body."""
    subject = channel()
    subject.modern(method, params)
    if not subject.read:
        subject.desk.backends["a"].answer(tool_result("x"))
    assert subject.read[0]["result"]["resultType"] == "complete"


@pytest.mark.parametrize("name", ["nobody__größe", " a__x", "=?base64?x", "", None, 7])
@on_loop
async def test_a_wrong_name_is_a_wrong_parameter(name: object) -> None:
    """Never a mismatch with a header that the client has no means to send."""
    subject = channel()
    subject.modern("tools/call", {} if name is None else {"name": name})
    assert error(subject.read[0]) == (1, -32602)


@on_loop
async def test_arguments_need_not_be_repeated_in_headers() -> None:
    """`x-mcp-header` is for HTTP."""
    schema = {"type": "object", "properties": {"r": {"type": "string", "x-mcp-header": "R"}}}
    offered = replace(catalogue("a", tools="x"), tools=(tool("x", inputSchema=schema),))
    subject = Channel(Desk(offered))
    subject.modern("tools/call", {**CALL, "arguments": {"r": "here"}})
    subject.desk.backends["a"].answer(tool_result("done"))
    assert subject.read[0]["result"]["content"][0]["text"] == "done"


@pytest.mark.parametrize("era", ["modern", "legacy"])
@on_loop
async def test_a_cancelled_request_is_stopped_and_not_answered(era: str) -> None:
    """In both eras by a notification; the id may be used again."""
    subject = channel()
    subject.initialize()
    say = subject.modern if era == "modern" else subject.legacy
    say("tools/call", CALL, request_id="c")
    subject.cancel("other")
    calls = subject.desk.backends["a"].calls
    assert [call.cancelled for call in calls] == [False]
    subject.cancel("c")
    assert [call.cancelled for call in calls] == [True]
    assert subject.read == []
    subject.cancel("c")
    say("tools/call", CALL, request_id="c")
    subject.desk.backends["a"].answer(tool_result("again"))
    assert subject.read[0]["result"]["content"][0]["text"] == "again"


@on_loop
async def test_a_request_that_still_waits_to_be_routed_can_be_cancelled() -> None:
    """It never reaches a server."""
    subject = channel(settled=False)
    subject.modern("tools/call", {"name": "b__y"})
    subject.cancel(1)
    subject.desk.edition.settle()
    assert subject.read == []
    assert [one.status for one in subject.desk.outcomes] == []


@on_loop
async def test_initialize_cannot_be_cancelled() -> None:
    """The specification forbids it, and what waits for the session would wait for ever."""
    subject = channel(learned=False)
    subject.legacy("initialize", hello(), request_id=0)
    subject.cancel(0)
    subject.desk.learning.learned("legacy")
    assert subject.read[0]["result"]["protocolVersion"] == VERSION


@on_loop
async def test_subscriptions_share_the_channel_and_are_told_apart() -> None:
    """By their ids; each stays open until it is cancelled."""
    subject = channel()
    subject.modern("subscriptions/listen", LISTEN, request_id="l")
    both = {"notifications": {"toolsListChanged": True, "promptsListChanged": True}}
    subject.modern("subscriptions/listen", both, request_id=7)
    acknowledged = [message["params"]["_meta"][SUBSCRIPTION] for message in subject.read]
    assert acknowledged == ["l", 7]
    subject.read.clear()
    subject.desk.audience.changed(frozenset({"tools"}))
    assert {message["params"]["_meta"][SUBSCRIPTION] for message in subject.read} == {"l", 7}
    subject.cancel("l")
    subject.read.clear()
    subject.desk.audience.changed(frozenset({"tools", "prompts"}))
    assert [message["params"]["_meta"][SUBSCRIPTION] for message in subject.read] == [7, 7]


@on_loop
async def test_a_subscription_that_we_end_says_so_in_both_ways() -> None:
    """The result ends the request; on stdio a cancellation ends the stream."""
    subject = channel()
    subject.modern("subscriptions/listen", LISTEN, request_id="l")
    idle: list[bool] = []
    subject.duplex.retire(lambda: idle.append(True))
    subject.desk.audience.close()
    assert not idle
    await eventually(lambda: idle, "the channel to be idle")
    _, result, cancelled = subject.read
    assert (result["id"], result["result"]["resultType"]) == ("l", "complete")
    assert cancelled["method"] == "notifications/cancelled"
    assert cancelled["params"] == {"requestId": "l"}


@on_loop
async def test_messages_come_before_the_answer_of_their_call() -> None:
    """And nothing else: events without a message are of HTTP."""
    subject = channel()
    subject.initialize()
    meta = {"_meta": {"progressToken": "t"}}
    subject.legacy("tools/call", {**CALL, **meta}, request_id=5)
    backend = subject.desk.backends["a"]
    backend.notify("notifications/progress", {"progressToken": "ours-1", "progress": 1})
    backend.answer(tool_result("x"))
    progress, answer = subject.read
    assert progress["params"] == {"progressToken": "t", "progress": 1}
    assert answer["id"] == 5


@on_loop
async def test_a_server_can_ask_the_client_during_a_call() -> None:
    """The question and its answer are messages like others."""
    subject = channel()
    subject.initialize({"elicitation": {}})
    subject.legacy("tools/call", CALL, request_id=5)
    hosted = subject.desk.hosted["a"]
    hosted.ask("elicitation/create", {"message": "?", "requestedSchema": {"type": "object"}})
    (question,) = subject.read
    assert question["method"] == "elicitation/create"
    subject.duplex.take(
        encode({"jsonrpc": "2.0", "id": question["id"], "result": {"action": "decline"}})
    )
    assert hosted.calls[0].responses == [{"result": {"action": "decline"}}]
    hosted.answer(tool_result("x"))
    assert [message.get("id") for message in subject.read] == [question["id"], 5]


@pytest.mark.parametrize(
    "message",
    [
        {"method": "notifications/roots/list_changed"}, {"method": "notifications/cancelled"},
        {"method": "notifications/cancelled", "params": {"requestId": 9}},
        {"method": "no/such/notification"}, {"id": "nobody asked", "result": {}},
        {"id": 1, "error": {"code": 1, "message": "no"}},
    ],
)  # fmt: skip
@pytest.mark.parametrize("with_session", [True, False])
@on_loop
async def test_notifications_and_responses_are_never_answered(
    message: dict[str, Any], with_session: bool
) -> None:
    """Right or wrong."""
    subject = channel()
    if with_session:
        subject.initialize()
    subject.duplex.take(encode({"jsonrpc": "2.0", **message}))
    assert subject.read == []


@pytest.mark.parametrize(
    ("message", "code"),
    [(b"", -32700), (b"{", -32700), (b"\xff", -32700), (b"[]", -32600), (b"1", -32600),
     (b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]', -32600), (b"{}", -32600),
     (b'{"jsonrpc":"2.0","id":null,"method":"ping"}', -32600)],
)  # fmt: skip
@on_loop
async def test_what_is_no_message_is_answered_without_an_id(message: bytes, code: int) -> None:
    """And the channel goes on."""
    subject = channel()
    subject.duplex.take(message)
    assert error(subject.read[0]) == (None, code)
    subject.modern("tools/list")
    assert subject.read[1]["id"] == 1


@on_loop
async def test_failures_have_the_id_of_their_request() -> None:
    """Ours and those of servers."""
    subject = channel()
    subject.modern("no/such", request_id="a")
    subject.modern("tools/call", CALL, request_id="b")
    subject.desk.backends["a"].answer(BackendLost("gone"))
    assert [error(message) for message in subject.read] == [("a", -32601), ("b", 32003)]


@on_loop
async def test_an_id_that_is_under_way_cannot_be_used_twice() -> None:
    """A cancellation or an answer could mean either."""
    subject = channel()
    subject.modern("tools/call", CALL)
    subject.modern("tools/call", CALL)
    assert error(subject.read[0]) == (1, -32600)
    subject.modern("tools/call", CALL, request_id="1")
    assert len(subject.desk.backends["a"].calls) == 2


@pytest.mark.parametrize(
    ("bound", "value"),
    [("MAX_UNDER_WAY", 2), ("MAX_BYTES_UNDER_WAY", 2 * len(modern("tools/call", CALL)))],
)
@on_loop
async def test_what_is_under_way_is_bounded(
    bound: str, value: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests beyond it are refused, and taken again when others have ended."""
    monkeypatch.setattr(duplex, bound, value)
    subject = channel()
    for number in range(3):
        subject.modern("tools/call", CALL, request_id=number)
    assert error(subject.read.pop()) == (2, 32004)
    subject.desk.backends["a"].answer(tool_result("x"), 0)
    subject.cancel(1)
    subject.read.clear()
    for number in range(5, 8):
        subject.modern("tools/call", CALL, request_id=number)
    assert [error(message) for message in subject.read] == [(7, 32004)]


@on_loop
async def test_what_waits_for_the_session_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest is refused at once."""
    monkeypatch.setattr(duplex, "MAX_UNDER_WAY", 2)
    subject = channel(learned=False)
    subject.legacy("initialize", hello(), request_id=0)
    subject.notify("notifications/initialized")
    for number in range(1, 4):
        subject.legacy("ping", request_id=number)
    subject.notify("notifications/roots/list_changed")
    assert [error(message) for message in subject.read] == [(2, 32004), (3, 32004)]
    subject.desk.learning.learned("legacy")
    assert [message["id"] for message in subject.read[2:]] == [0, 1]


@on_loop
async def test_a_channel_that_retires_finishes_what_it_began() -> None:
    """New requests are refused; without work it is done at once."""
    subject = channel()
    idle: list[bool] = []
    subject.modern("tools/call", CALL)
    subject.duplex.retire(lambda: idle.append(True))
    subject.modern("tools/list", request_id=2)
    assert error(subject.read[0]) == (2, 32004)
    assert not idle
    subject.desk.backends["a"].answer(tool_result("x"))
    assert subject.read[1]["id"] == 1
    assert idle == [True]
    channel().duplex.retire(lambda: idle.append(False))
    assert idle == [True, False]
