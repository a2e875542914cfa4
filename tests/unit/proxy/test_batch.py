"""Batches of clients: each member for itself, and one answer for all."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from only1mcp.auth.access import Access
from only1mcp.ingress import duplex
from only1mcp.protocol.headers import McpHeaders
from only1mcp.protocol.versions import LEGACY_VERSIONS
from only1mcp.proxy import batch
from only1mcp.proxy.batch import MAX_MEMBERS, REVISION
from only1mcp.proxy.exchange import Request
from only1mcp.resilience.limiter import Rate
from tests.support.catalogues import catalogue
from tests.support.channel import Channel, hello
from tests.support.desk import Desk, tool_result
from tests.support.loop import on_loop
from tests.support.messages import META, MODERN, encode
from tests.support.told import Told

PING = {"jsonrpc": "2.0", "id": "p", "method": "ping"}
CANCEL = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}


def call(request_id: object, tool: str = "a__x", **more: Any) -> dict[str, Any]:
    """Write a call."""
    return {"jsonrpc": "2.0", "id": request_id, "method": "tools/call",
            "params": {"name": tool, **more}}  # fmt: skip


def desk_of_one(**more: Any) -> Desk:
    """Return a desk before one server."""
    return Desk(catalogue("a", tools="x"), **more)


def send(desk: Desk, *members: object, version: str = REVISION, **more: Any) -> Told:
    """Send a batch on a new session."""
    headers = McpHeaders(session=desk.session(version=version))
    return desk.take(Request(headers, encode(list(members)), "1.2.3.4", **more))


def refused(told: Told) -> str:
    """Return why a whole batch was refused."""
    assert told.only.status == 400
    assert (told.message["id"], told.message["error"]["code"]) == (None, -32600)
    return str(told.message["error"]["message"])


@on_loop
async def test_members_run_side_by_side_and_are_answered_in_one_array() -> None:
    """In the order in which they are done; each is counted as a request of its own."""
    desk = desk_of_one()
    told = send(desk, call(1), call("é"), PING)
    assert len(desk.backends["a"].calls) == 2
    desk.backends["a"].answer(tool_result("second"), 1)
    assert told.answers == []
    desk.backends["a"].answer(tool_result("first"), 0)
    assert (told.only.status, told.sent) == (200, [])
    assert [one["id"] for one in told.message] == ["p", "é", 1]
    assert told.message[2]["result"]["content"][0]["text"] == "first"
    assert [outcome.method for outcome in desk.outcomes] == ["ping", "tools/call", "tools/call"]


@on_loop
async def test_a_batch_that_wants_no_answer_is_acknowledged() -> None:
    """Notifications do what they say all the same."""
    desk = desk_of_one()
    session = desk.session(version=REVISION)
    running = desk.legacy("tools/call", {"name": "a__x"}, session)
    told = desk.post(session, encode([CANCEL, {**CANCEL, "params": {"requestId": 9}}]))
    assert (told.only.status, told.only.body) == (202, b"")
    assert running.message["error"]["code"] == -32800


@on_loop
async def test_each_bad_member_gets_an_error_of_its_own() -> None:
    """Without an id where none could be read; the others run."""
    desk = desk_of_one()
    told = send(desk, 1, {}, [], [PING], {"jsonrpc": "2.0", "id": 5, "method": "nope"}, PING)
    answers = [(one["id"], one.get("error", {}).get("code")) for one in told.message]
    assert answers == [(None, -32600)] * 4 + [(5, -32601), ("p", None)]


@on_loop
async def test_initialize_may_not_be_a_member() -> None:
    """No session comes of it (2025-03-26, basic/lifecycle)."""
    hello = {"jsonrpc": "2.0", "id": 0, "method": "initialize",
             "params": {"protocolVersion": REVISION, "capabilities": {}}}  # fmt: skip
    told = send(desk_of_one(), hello, PING)
    assert [(one["id"], "error" in one) for one in told.message] == [(0, True), ("p", False)]
    assert told.only.session_id is None


@on_loop
async def test_a_member_of_the_modern_era_is_refused() -> None:
    """That era has no batches, whatever session it comes on."""
    told = send(desk_of_one(), call(1, _meta=META), PING)
    assert told.message[0]["error"]["code"] == -32600
    assert "2026-07-28 has no batches" in told.message[0]["error"]["message"]


@pytest.mark.parametrize("version", [one for one in LEGACY_VERSIONS if one != REVISION])
@on_loop
async def test_no_other_revision_has_batches(version: str) -> None:
    """Nothing of such a batch runs."""
    desk = desk_of_one()
    assert f"{version} has no batches. hint: " in refused(send(desk, call(1), version=version))
    assert desk.backends["a"].calls == []


@pytest.mark.parametrize("headers", [McpHeaders(), McpHeaders(version=MODERN)])
@on_loop
async def test_a_batch_without_a_session_is_refused(headers: McpHeaders) -> None:
    """Only a session says which revision its client speaks."""
    told = desk_of_one().send(encode([PING]), headers)
    assert "needs a session of 2025-03-26. hint: " in refused(told)


@pytest.mark.parametrize("count", [0, MAX_MEMBERS + 1])
@on_loop
async def test_a_batch_has_a_member_and_not_too_many(count: int) -> None:
    """The bound is said with its name."""
    desk = desk_of_one()
    assert ("max_batch" in refused(send(desk, *[call(n) for n in range(count)]))) is (count > 0)
    assert desk.backends["a"].calls == []
    many = send(desk, *({**PING, "id": n} for n in range(MAX_MEMBERS)))
    assert len(many.message) == MAX_MEMBERS


@on_loop
async def test_ids_that_stand_twice_refuse_the_whole_batch() -> None:
    """Its answers could not be told apart, however the ids are written; 1 is not "1"."""
    desk = desk_of_one()
    assert "the id 7" in refused(send(desk, call(7), call(7)))
    one, other = encode(call("A")), encode(call("@")).replace(b"@", rb"\u0041")
    session = desk.session(version=REVISION)
    assert "the id " in refused(desk.post(session, b"[%b,%b]" % (one, other)))
    assert desk.backends["a"].calls == []
    assert len(send(desk, {**PING, "id": 1}, {**PING, "id": "1"}).message) == 2


@on_loop
async def test_what_a_member_says_before_its_answer_makes_a_stream() -> None:
    """Answers that were there already come first, later ones each when it is there."""
    desk = desk_of_one()
    told = send(desk, PING, call(1, _meta={"progressToken": "t"}), call(2))
    token = json.loads(desk.backends["a"].calls[0].outgoing.params)["_meta"]["progressToken"]
    desk.backends["a"].notify("notifications/progress", {"progressToken": token, "progress": 1}, 0)
    desk.backends["a"].answer(tool_result("y"), 1)
    assert [one.get("id") for one in told.messages] == ["p", None, 2]
    assert told.messages[1]["params"]["progressToken"] == "t"
    assert not told.has_ended
    desk.backends["a"].answer(tool_result("x"), 0)
    assert told.messages[3]["id"] == 1
    assert (told.has_ended, told.answers) == (True, [])


@on_loop
async def test_on_a_channel_the_answers_are_an_array_whatever_comes_before() -> None:
    """It is a stream anyway."""
    desk = desk_of_one()
    told = send(desk, PING, call(1), channel="c")
    desk.backends["a"].notify("notifications/message", {"level": "info", "data": "so"}, 0)
    desk.backends["a"].answer(tool_result("x"))
    assert told.methods == ["notifications/message"]
    assert [one["id"] for one in told.message] == ["p", 1]


@pytest.mark.parametrize("channel", [None, "c"])
@on_loop
async def test_many_bytes_do_not_wait_for_the_last_answer(
    channel: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They would stand in memory while one member takes its time."""
    monkeypatch.setattr(batch, "MAX_HELD_BYTES", 300)
    desk = desk_of_one()
    told = send(desk, call(1), call(2), call(3), channel=channel)
    desk.backends["a"].answer(tool_result("y" * 100), 0)
    assert told.sent == []
    desk.backends["a"].answer(tool_result("y" * 100), 1)
    said = told.messages[0] if channel else told.messages
    assert [one["id"] for one in said] == [1, 2]
    desk.backends["a"].answer(tool_result("z"), 2)
    last = told.message[0] if channel else told.messages[-1]
    assert last["id"] == 3
    assert told.has_ended is (channel is None)


@on_loop
async def test_a_client_that_goes_takes_all_members_along() -> None:
    """Those that are answered already are not touched; the room is free again."""
    desk = desk_of_one()
    told = send(desk, call(1), call(2), call(3))
    desk.backends["a"].answer(tool_result("x"), 1)
    told.cancel()
    assert [one.cancelled for one in desk.backends["a"].calls] == [True, False, True]
    assert sorted(one.status for one in desk.outcomes) == ["cancelled", "cancelled", "ok"]
    assert (told.answers, desk.pipeline._batches.under_way) == ([], 0)


@on_loop
async def test_a_member_is_taken_back_like_any_other_request() -> None:
    """The others go on."""
    desk = desk_of_one()
    session = desk.session(version=REVISION)
    told = desk.post(session, encode([call(1), call(2)]))
    desk.post(session, encode(CANCEL))
    desk.backends["a"].answer(tool_result("x"), 1)
    assert [one.get("error", {}).get("code") for one in told.message] == [-32800, None]


@on_loop
async def test_each_member_is_charged_to_its_sender() -> None:
    """A batch is no way around a rate, and what costs nothing elsewhere costs nothing in it."""
    access = Access()
    access.follow((), Rate(60, 60.0, 2), {})
    desk = desk_of_one(access=access)
    told = send(desk, call(1), call(2), PING, principal=access.anyone)
    assert len(desk.bucket.charged) == 2
    desk.bucket.wait_ns = 3_000_000_000
    late = send(desk, call(1), call(2), PING, principal=access.anyone)
    assert [one.get("error", {}).get("code") for one in late.message] == [32007, 32007, None]
    for number in (0, 1):
        desk.backends["a"].answer(tool_result("x"), number)
    assert all("result" in one for one in told.message)


@on_loop
async def test_all_batches_together_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few bytes are a whole request; beyond the bound nothing runs."""
    monkeypatch.setattr(batch, "MAX_UNDER_WAY", 3)
    desk = desk_of_one()
    first = send(desk, call(1), call(2))
    told = send(desk, call(1), call(2))
    assert (told.only.status, told.message["error"]["code"]) == (503, 32004)
    for number in (0, 1):
        desk.backends["a"].answer(tool_result("x"), number)
    assert len(first.message) == 2
    send(desk, call(1), call(2), PING)
    assert len(desk.backends["a"].calls) == 4


@on_loop
async def test_an_ended_session_refuses_the_whole_batch() -> None:
    """With the status that tells the client to begin anew."""
    desk = desk_of_one()
    session = desk.session(version=REVISION)
    desk.ended.add(desk.opened(session).serial)
    assert desk.post(session, encode([PING])).only.status == 404


@on_loop
async def test_a_member_waits_for_servers_that_are_yet_to_answer() -> None:
    """As a request of its own would; the others do not."""
    desk = desk_of_one(learned=False)
    told = send(desk, call(1), PING)
    assert [outcome.method for outcome in desk.outcomes] == ["ping"]
    desk.learning.learned("legacy")
    desk.backends["a"].answer(tool_result("x"))
    assert [one["id"] for one in told.message] == ["p", 1]


def batching(**more: Any) -> Channel:
    """Open a channel on which a client of 2025-03-26 has opened its session."""
    subject = Channel(desk_of_one(**more))
    subject.legacy("initialize", {**hello(), "protocolVersion": REVISION}, request_id="hello")
    subject.notify("notifications/initialized")
    subject.read.clear()
    return subject


def written(*members: dict[str, Any]) -> bytes:
    """Write a batch."""
    return encode([{"jsonrpc": "2.0", **member} for member in members])


@on_loop
async def test_a_batch_is_answered_by_a_batch() -> None:
    """Beside requests of their own; a member can be taken back."""
    subject = batching()
    calls = [{"id": n, "method": "tools/call", "params": {"name": "a__x"}} for n in (1, 2)]
    subject.duplex.take(written(*calls))
    subject.legacy("ping", request_id=3)
    subject.cancel(1)
    subject.cancel(9)
    assert [message["id"] for message in subject.read] == [3]
    subject.desk.backends["a"].answer(tool_result("x"), 1)
    assert [(one["id"], "error" in one) for one in subject.read[1]] == [(1, True), (2, False)]
    taken = len(subject.requests)
    subject.cancel(2)
    assert len(subject.requests) == taken


@on_loop
async def test_a_batch_waits_for_the_session_and_may_say_that_the_client_is_ready() -> None:
    """It is of no use before."""
    subject = Channel(desk_of_one(learned=False))
    subject.legacy("initialize", {**hello(), "protocolVersion": REVISION}, request_id=0)
    subject.duplex.take(written({"method": "notifications/initialized"}, PING))
    assert subject.read == []
    subject.desk.learning.learned("legacy")
    assert subject.read[0]["id"] == 0
    assert [one["id"] for one in subject.read[1]] == ["p"]
    subject.desk.audience.changed(frozenset({"tools"}))
    assert subject.read[2]["method"] == "notifications/tools/list_changed"


@on_loop
async def test_a_channel_has_room_for_some_batches() -> None:
    """Each holds many requests; one that needs no answer takes no room."""
    subject = batching()
    calls = written({"id": 1, "method": "tools/call", "params": {"name": "a__x"}})
    for _ in range(duplex.MAX_BATCHES):
        subject.duplex.take(written({"method": "notifications/nothing"}))
        subject.duplex.take(calls)
    subject.duplex.take(written(PING))
    (refused,) = subject.read
    assert (refused["id"], refused["error"]["code"]) == (None, 32004)
    subject.desk.backends["a"].answer(tool_result("x"), 0)
    subject.duplex.take(written(PING))
    assert [one[0]["id"] for one in subject.read[1:]] == [1, "p"]


@on_loop
async def test_a_channel_that_ends_takes_its_batches_along() -> None:
    """And one that is to end waits for them."""
    subject = batching()
    calls = [{"id": n, "method": "tools/call", "params": {"name": "a__x"}} for n in (1, 2)]
    subject.duplex.take(written(*calls))
    idle: list[int] = []
    subject.duplex.retire(lambda: idle.append(1))
    subject.duplex.take(written(PING))
    assert (subject.read[0]["error"]["code"], idle) == (32004, [])
    subject.desk.backends["a"].answer(tool_result("x"), 0)
    subject.duplex.close()
    assert [one.cancelled for one in subject.desk.backends["a"].calls] == [False, True]
    assert len(subject.read) == 1


KINDS = st.sampled_from(["ping", "call", "unknown", "bad", "batch", "told", "answer", "modern"])


def member(kind: str, number: int) -> Any:
    """Write a member of one kind."""
    request = {"jsonrpc": "2.0", "id": number, "method": "ping"}
    others: dict[str, Any] = {
        "call": call(number), "unknown": {**request, "method": "nope"}, "bad": {"id": number},
        "batch": [request], "modern": call(number, _meta=META),
        "told": {"jsonrpc": "2.0", "method": "notifications/roots/list_changed"},
        "answer": {"jsonrpc": "2.0", "id": number, "result": {}},
    }  # fmt: skip
    return others.get(kind, request)


@settings(max_examples=100, deadline=None)
@given(kinds=st.lists(KINDS, min_size=1, max_size=12), channel=st.sampled_from([None, "c"]))
def test_whatever_a_batch_holds_each_member_is_answered_once(
    kinds: list[str], channel: str | None
) -> None:
    """Requests under their ids, what is none without one, notifications not at all."""

    @on_loop
    async def run() -> None:
        desk = desk_of_one()
        told = send(desk, *map(member, kinds, range(len(kinds))), channel=channel)
        for number in range(kinds.count("call")):
            desk.backends["a"].answer(tool_result("x"), number)
        requests = [n for n, kind in enumerate(kinds) if kind in REQUESTS]
        without = sum(kind in ("bad", "batch", "answer") for kind in kinds)
        answers = told.message if told.only.body else []
        assert sorted(str(one["id"]) for one in answers) == sorted(
            [*map(str, requests), *["None"] * without]
        )
        good = [one["id"] for one in answers if "result" in one]
        assert sorted(good) == [n for n in requests if kinds[n] in ("ping", "call")]
        assert desk.pipeline._batches.under_way == 0

    run()


REQUESTS = ("ping", "call", "unknown", "modern")
