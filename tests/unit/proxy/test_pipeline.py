"""The way of one message through the pipeline, what is answered and what is written down."""

import json
import logging

import pytest

from only1mcp.errors import BackendLost
from only1mcp.protocol.headers import McpHeaders
from only1mcp.protocol.methods import METHODS, OTHER_INDEX
from only1mcp.protocol.versions import LEGACY_VERSIONS, NEWEST_LEGACY, Era
from only1mcp.sessions.session import MAX_AGE_S
from tests.support.catalogues import catalogue
from tests.support.desk import Desk, tool_result
from tests.support.loop import eventually, on_loop
from tests.support.messages import MODERN, OWN, legacy, modern, modern_headers, notification

IDS = [b"0", b"-7", b"123456789012345678901234567890", b'""', b'"a"', b'"\\u0061\\n\\""',
       '"é😀"'.encode(), b'"1"']  # fmt: skip

TOLD = {"listChanged": True}


def with_id(message: bytes, raw: bytes) -> bytes:
    """Replace a message's id 1."""
    return message.replace(b'"id": 1', b'"id": ' + raw)


@pytest.mark.parametrize("raw", IDS)
@on_loop
async def test_every_legal_id_is_echoed_in_the_bytes_it_came_in(raw: bytes) -> None:
    """By our own answers, by relayed results and errors, and by failures; in both eras."""
    desk = Desk(catalogue("a", tools="x"))
    call = with_id(modern("tools/call", {"name": "a__x"}), raw)
    told = [
        desk.send(with_id(modern("tools/list"), raw), modern_headers("tools/list")),
        desk.send(with_id(modern("nope"), raw), modern_headers("nope")),
        desk.send(with_id(legacy("ping"), raw), McpHeaders(session=desk.session())),
        desk.send(with_id(legacy("ping"), raw)),
        desk.send(call, modern_headers("tools/call", "a__x")),
        desk.send(call, modern_headers("tools/call", "a__x")),
    ]
    desk.backends["a"].answer(tool_result("x"), 0)
    desk.backends["a"].answer(BackendLost("gone"), 1)
    for one in told:
        assert one.only.body.startswith(b'{"jsonrpc":"2.0","id":' + raw + b",")
        json.loads(one.only.body)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, -32700), (b"{", 400, -32700), (b"\xff", 400, -32700), (b"[]", 400, -32600),
        (b"{}", 400, -32600), (b"1", 400, -32600), (b'{"jsonrpc":"2.0","id":1}', 400, -32600),
        (b'{"jsonrpc":"2.0","id":null,"method":"ping"}', 400, -32600),
        (b'{"jsonrpc":"2.0","id":1.5,"method":"ping"}', 400, -32600),
    ],
)  # fmt: skip
@on_loop
async def test_what_is_no_message_is_answered_without_an_id(
    body: bytes, status: int, code: int
) -> None:
    """There is none that could be trusted; it is counted all the same."""
    desk = Desk()
    told = desk.send(body)
    assert (told.only.status, told.message["id"]) == (status, None)
    assert told.message["error"]["code"] == code
    (outcome,) = desk.outcomes
    assert (outcome.method_index, outcome.method, outcome.client) == (OTHER_INDEX, "", "1.2.3.4")


@pytest.mark.parametrize("version", LEGACY_VERSIONS)
@on_loop
async def test_initialize_opens_a_session_of_the_revision_that_was_asked_for(version: str) -> None:
    """It carries what the client said of itself."""
    desk = Desk(catalogue("a", tools="x", instructions="Do."), catalogue("b", prompts="p"))
    params = {
        "protocolVersion": version,
        "capabilities": {"roots": {}},
        "clientInfo": {"name": "c"},
    }
    told = desk.send(legacy("initialize", params))
    result = told.message["result"]
    assert result["protocolVersion"] == version
    assert result["capabilities"] == {"tools": TOLD, "prompts": TOLD}
    assert result["serverInfo"]["name"] == "only1mcp"
    assert result["instructions"] == "## a\nDo."
    assert told.only.session_id is not None
    session = desk.sealer.open(told.only.session_id, desk.now)
    assert (session.version, json.loads(session.capabilities)) == (version, {"roots": {}})
    assert json.loads(session.client_info) == {"name": "c"}


@pytest.mark.parametrize("version", ["2024-10-07", "2031-01-01", "x"])
@on_loop
async def test_initialize_with_an_unknown_revision_is_offered_our_newest(version: str) -> None:
    """The client may leave if it cannot speak it."""
    told = Desk().send(legacy("initialize", {"protocolVersion": version}))
    assert told.message["result"]["protocolVersion"] == NEWEST_LEGACY
    assert told.only.session_id


@pytest.mark.parametrize(
    "params",
    [None, {}, {"protocolVersion": 1}, {"protocolVersion": "2025-11-25", "capabilities": []},
     {"protocolVersion": "2025-11-25", "capabilities": {"x": "y" * 5000}}],
)  # fmt: skip
@on_loop
async def test_a_malformed_initialize_opens_nothing(params: dict[str, object] | None) -> None:
    """It is the client's mistake."""
    told = Desk().send(legacy("initialize", params))
    assert (told.only.status, told.message["error"]["code"]) == (200, -32602)
    assert told.only.session_id is None


@on_loop
async def test_a_number_that_only_json_knows_is_no_reason_to_fail() -> None:
    """As a version or a cursor it is simply wrong."""
    desk = Desk()
    for method, key in (("initialize", "protocolVersion"), ("tools/list", "cursor")):
        body = b'{"jsonrpc":"2.0","id":1,"method":"%b","params":{"%b":1e400}}' % (
            method.encode(), key.encode(),
        )  # fmt: skip
        told = desk.send(body, McpHeaders(session=desk.session()))
        assert (told.only.status, told.message["error"]["code"]) == (200, -32602)


@on_loop
async def test_a_legacy_request_needs_a_session_that_lives() -> None:
    """Missing is 400; unknown, expired and ended are 404, so that the client starts anew."""
    desk = Desk()
    good = desk.session()
    ended = desk.session()
    desk.ended.add(desk.sealer.open(ended, desk.now).serial)
    for session, status in ((None, 400), ("nonsense", 404), (ended, 404), (good, 200)):
        told = desk.send(legacy("ping"), McpHeaders(session=session))
        assert told.only.status == status
        if status != 200:
            assert "initialize" in told.message["error"]["message"]
    desk.now += MAX_AGE_S
    assert desk.send(legacy("ping"), McpHeaders(session=good)).only.status == 404


@on_loop
async def test_a_modern_request_needs_none_and_ignores_one() -> None:
    """And never gets one."""
    desk = Desk(catalogue("a", tools="x"))
    headers = modern_headers("tools/list")
    headers.session = "nonsense"
    told = desk.send(modern("tools/list"), headers)
    assert (told.only.status, told.only.session_id) == (200, None)


@on_loop
async def test_notifications_are_accepted_without_a_word() -> None:
    """202 and no body, in both eras; a legacy one needs its session."""
    desk = Desk()
    on_session = McpHeaders(session=desk.session())
    for body, headers in (
        (notification("notifications/initialized"), on_session),
        (notification("notifications/cancelled", {"requestId": 1}), on_session),
        (notification("notifications/cancelled", {"requestId": 1}), McpHeaders(version=MODERN)),
    ):
        told = desk.send(body, headers)
        assert (told.only.status, told.only.body) == (202, b"")
    assert desk.send(notification("notifications/initialized")).only.status == 400


@on_loop
async def test_lists_are_merged_and_paged_in_the_form_of_each_era() -> None:
    """Following the cursors gives everything."""
    desk = Desk(catalogue("a", tools="x y"), catalogue("b", tools="z"), page_size=2)
    for send, hints, status in (
        (desk.modern, {"resultType", "ttlMs", "cacheScope"}, 400), (desk.legacy, set(), 200),
    ):  # fmt: skip
        first = send("tools/list").message["result"]
        assert set(first) == {"tools", "nextCursor"} | hints
        second = send("tools/list", {"cursor": first["nextCursor"]}).message["result"]
        assert set(second) == {"tools"} | hints
        names = [tool["name"] for tool in first["tools"] + second["tools"]]
        assert names == ["a__x", "a__y", "b__z"]
        bad = send("tools/list", {"cursor": "nonsense"})
        assert (bad.only.status, bad.message["error"]["code"]) == (status, -32602)


@on_loop
async def test_discover_tells_modern_clients_what_there_is() -> None:
    """With the hints that 2026-07-28 requires, and no list twice."""
    desk = Desk(catalogue("a", resources="r://1", instructions="A."), catalogue("b", tools="x"))
    result = desk.modern("server/discover").message["result"]
    assert result["supportedVersions"] == [MODERN]
    assert result["capabilities"] == {"resources": TOLD, "tools": TOLD}
    assert (result["resultType"], result["ttlMs"], result["cacheScope"]) == (
        "complete", 0, "private",
    )  # fmt: skip
    assert result["_meta"][OWN + "serverInfo"]["name"] == "only1mcp"
    assert result["instructions"] == "## a\nA."


@on_loop
async def test_ping_is_answered_by_us() -> None:
    """No backend is troubled."""
    desk = Desk(catalogue("a", tools="x"))
    assert desk.legacy("ping").message["result"] == {}
    assert desk.backends["a"].calls == []


@on_loop
async def test_what_needs_all_servers_waits_for_them() -> None:
    """Greetings and lists of either era; they are answered in order once all is settled."""
    desk = Desk(catalogue("a", tools="x"), settled=False)
    waiting = [
        desk.send(legacy("initialize", {"protocolVersion": "2025-11-25"})),
        desk.legacy("tools/list"), desk.modern("tools/list"), desk.modern("server/discover"),
        desk.modern("tools/call", {"name": "b__late"}),
    ]  # fmt: skip
    assert [told.answers for told in waiting] == [[]] * 5
    desk.edition.settle()
    assert [told.only.status for told in waiting] == [200] * 5
    assert "unknown tool: b__late" in waiting[4].message["error"]["message"]


@on_loop
async def test_what_needs_no_other_server_does_not_wait() -> None:
    """A call to a server that is up, a ping, a notification, and whatever is wrong."""
    desk = Desk(catalogue("a", tools="x"), settled=False)
    desk.modern("tools/call", {"name": "a__x"})
    assert len(desk.backends["a"].calls) == 1
    assert desk.legacy("ping").only.status == 200
    assert desk.send(b"{").only.status == 400
    headers = McpHeaders(session=desk.session())
    assert desk.send(notification("notifications/initialized"), headers).only.status == 202


@on_loop
async def test_a_client_that_leaves_while_it_waits_is_forgotten() -> None:
    """Its call never runs."""
    desk = Desk(catalogue("a", eras=frozenset()), settled=False)
    told = desk.modern("tools/call", {"name": "a__x"})
    told.cancel()
    desk.edition.update(catalogue("a", tools="x"))
    desk.edition.settle()
    assert (told.answers, desk.backends["a"].calls) == ([], [])


@on_loop
async def test_a_client_that_waited_and_leaves_later_is_cancelled_too() -> None:
    """The same handle works before and after."""
    desk = Desk(catalogue("a", eras=frozenset()), settled=False)
    told = desk.modern("tools/call", {"name": "a__x"})
    desk.edition.update(catalogue("a", tools="x"))
    desk.edition.settle()
    told.cancel()
    assert desk.backends["a"].calls[0].cancelled
    assert [outcome.status for outcome in desk.outcomes] == ["cancelled"]


@on_loop
async def test_an_outcome_says_all_that_metrics_and_log_need() -> None:
    """Of a call that succeeded."""
    desk = Desk(catalogue("a", tools="x"))
    desk.modern("tools/call", {"name": "a__x"})
    desk.backends["a"].answer(tool_result("y"))
    (outcome,) = desk.outcomes
    assert outcome.request_id == "desk-1"
    assert (outcome.method, outcome.method_index) == (
        "tools/call", METHODS["tools/call"].index,
    )  # fmt: skip
    assert (outcome.target, outcome.server_id) == ("a__x", "a")
    assert (outcome.client, outcome.status, outcome.detail) == ("1.2.3.4", "ok", None)
    assert outcome.seconds == 1.0
    assert desk.attempts == [("a", "ok")]


@on_loop
async def test_each_request_has_a_number_of_its_own() -> None:
    """By which its log line is found."""
    desk = Desk()
    for _ in range(20):
        desk.legacy("ping")
    assert len({outcome.request_id for outcome in desk.outcomes}) == 20


@on_loop
async def test_what_only_an_operator_may_see_is_written_down_and_not_sent() -> None:
    """An address or a path inside."""
    desk = Desk(catalogue("a", tools="x"))
    told = desk.modern("tools/call", {"name": "a__x"})
    desk.backends["a"].answer(BackendLost("server a is gone", detail="10.0.0.7:9 reset"))
    assert b"10.0.0.7" not in told.only.body
    assert desk.outcomes[0].detail == "10.0.0.7:9 reset"


@on_loop
async def test_cancelling_what_has_ended_does_nothing() -> None:
    """The client may leave in the moment of the answer."""
    desk = Desk(catalogue("a", tools="x"))
    told = desk.modern("tools/call", {"name": "a__x"})
    desk.backends["a"].answer(tool_result("y"))
    told.cancel()
    assert told.only.status == 200
    assert len(desk.outcomes) == 1
    assert desk.attempts == [("a", "ok")]
    assert not desk.backends["a"].calls[0].cancelled


@on_loop
async def test_a_mistake_of_ours_costs_one_request(caplog: pytest.LogCaptureFixture) -> None:
    """It is answered 500, logged with its traceback and counted; the next one works."""
    desk = Desk(catalogue("a", tools="x"), timeout_s=0.02)
    backend = desk.backends.pop("a")
    with caplog.at_level(logging.ERROR, "only1mcp"):
        told = desk.modern("tools/call", {"name": "a__x"})
    assert (told.only.status, told.message["error"]["code"]) == (500, -32603)
    assert told.message["error"]["message"] == "internal error"
    assert desk.outcomes[0].status == "internal"
    assert caplog.records[0].exc_info is not None
    desk.backends["a"] = backend
    again = desk.modern("tools/call", {"name": "a__x"})
    await eventually(lambda: again.answers, "the clocks of both to have run out")
    assert len(told.answers) == 1
    assert [status for _, status in desk.attempts] == ["cancelled", "backend_timeout"]


@pytest.mark.parametrize("era", list(Era))
@on_loop
async def test_a_gateway_without_servers_greets_and_lists_nothing(era: Era) -> None:
    """It is empty, not broken."""
    desk = Desk()
    send = desk.modern if era is Era.MODERN else desk.legacy
    for method, key in (("tools/list", "tools"), ("prompts/list", "prompts"),
                        ("resources/list", "resources"),
                        ("resources/templates/list", "resourceTemplates")):  # fmt: skip
        assert send(method).message["result"][key] == []
