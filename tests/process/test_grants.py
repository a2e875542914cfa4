"""What a principal may not reach does not exist for it, whatever it asks in whatever way."""

import asyncio
from typing import Any

import pytest

from only1mcp.auth.access import Access
from only1mcp.auth.grant import Grant
from only1mcp.auth.principal import Key, Principal
from only1mcp.errors import SessionNotFound
from only1mcp.protocol.headers import McpHeaders
from only1mcp.protocol.versions import Era
from only1mcp.proxy.exchange import Request
from only1mcp.proxy.task_ids import TaskRef
from only1mcp.resilience.limiter import Rate
from tests.support.asking import ACCEPTED, ALL, FORM
from tests.support.catalogues import catalogue
from tests.support.desk import Desk, tool_result
from tests.support.loop import eventually, on_loop
from tests.support.messages import encode, legacy, modern, modern_headers, notification
from tests.support.task_offers import DECLARED, offers_extension
from tests.support.told import Told

RATE = Rate(2, 60.0, 2)
ANN = Principal("ann", 5, rate=RATE)
BOB = Principal("bob", 1, Grant(servers=("b",)))
TIM = Principal("tim", 2, Grant(tools=("a__x", "b__x*")))


def desk_of(*principals: Principal, **more: Any) -> Desk:
    """Return a desk with two servers that offer the same things under other names."""
    offers = [
        catalogue(one, tools="x y xx", prompts="p", resources=f"{one}://1 both://1",
                  templates=f"{one}://t/{{id}} both://t/{{id}}", instructions=f"use {one}")
        for one in ("a", "b")
    ]  # fmt: skip
    return Desk(*offers, access=letting_in(*(principals or (ANN, BOB, TIM))), **more)


def letting_in(*principals: Principal) -> Access:
    """Return what knows these."""
    access = Access()
    keys = [
        Key(who.id, f"{number:064}", who.grant.servers, who.grant.tools, who.rate)
        for number, who in enumerate(principals)
    ]
    access.follow(keys, None, {who.id: who.number for who in principals})
    return access


def ask(desk: Desk, who: Principal, method: str, **params: Any) -> Told:
    """Send a modern request."""
    name = params.get("uri") if method == "resources/read" else params.get("name")
    name = params.get("taskId") if method.startswith("tasks/") else name
    request = Request(modern_headers(method, name), modern(method, params), "", principal=who)
    return desk.take(request)


def opened(desk: Desk, who: Principal, capabilities: bytes = b"{}") -> str:
    """Open a legacy session."""
    return desk.sealer.seal(desk.sealer.create("2025-11-25", capabilities, b"", desk.now, who.id))


def on_session(desk: Desk, who: Principal, session: str, body: bytes) -> Told:
    """Send anything on a legacy session."""
    return desk.take(Request(McpHeaders(session=session), body, "", principal=who))


def keys(told: Told, name: str, key: str) -> list[str]:
    """Return what stands on a list."""
    return [item[key] for item in told.message["result"][name]]


@on_loop
async def test_lists_hold_what_can_be_called_and_nothing_else() -> None:
    """Each list, for one who has a server and one who has some tools."""
    desk = desk_of()
    assert keys(ask(desk, ANN, "tools/list"), "tools", "name") == [
        f"{one}__{name}" for one in "ab" for name in ("x", "y", "xx")
    ]
    assert keys(ask(desk, BOB, "tools/list"), "tools", "name") == ["b__x", "b__y", "b__xx"]
    assert keys(ask(desk, TIM, "tools/list"), "tools", "name") == ["a__x", "b__x", "b__xx"]
    assert keys(ask(desk, BOB, "prompts/list"), "prompts", "name") == ["b__p"]
    assert keys(ask(desk, BOB, "resources/list"), "resources", "uri") == ["b://1", "both://1"]
    assert keys(ask(desk, BOB, "resources/templates/list"), "resourceTemplates", "uriTemplate") == [
        "b://t/{id}",
        "both://t/{id}",
    ]
    told = ask(desk, BOB, "server/discover").message["result"]
    assert told["instructions"] == "## b\nuse b"


FORBIDDEN: list[tuple[str, dict[str, Any]]] = [
    ("tools/call", {"name": "a__x"}), ("tools/call", {"name": "x"}),
    ("tools/call", {"name": "B__x"}), ("tools/call", {"name": "b__x\u0000"}),
    ("prompts/get", {"name": "a__p"}),
    ("completion/complete", {"ref": {"type": "ref/prompt", "name": "a__p"}}),
]  # fmt: skip


@pytest.mark.parametrize(("method", "params"), FORBIDDEN)
@on_loop
async def test_what_is_forbidden_is_answered_as_what_is_unknown(
    method: str, params: dict[str, Any]
) -> None:
    """In both eras, and no server hears of it."""
    desk = desk_of()
    session = opened(desk, BOB)
    for told in (
        ask(desk, BOB, method, **params),
        on_session(desk, BOB, session, legacy(method, params)),
    ):
        assert told.message["error"]["code"] == -32602
        assert "unknown" in told.message["error"]["message"]
    assert desk.backends["a"].calls == desk.hosted["a"].calls == []


@pytest.mark.parametrize("uri", ["a://1", "a://t/7", "a://anything", "both://1", "both://t/1"])
@on_loop
async def test_a_resource_is_asked_for_at_allowed_servers_alone(uri: str) -> None:
    """By its address, a template or its scheme; the other server is never asked."""
    desk = desk_of()
    ask(desk, BOB, "resources/read", uri=uri)
    ref = {"type": "ref/resource", "uri": "both://t/{id}"}
    ask(desk, BOB, "completion/complete", ref=ref)
    on_session(desk, BOB, opened(desk, BOB), legacy("resources/subscribe", {"uri": uri}))
    assert desk.backends["a"].calls == desk.hosted["a"].calls == []
    assert len(desk.backends["b"].calls) + len(desk.hosted["b"].calls) == 3


@on_loop
async def test_nobody_passes_whom_no_door_has_let_in() -> None:
    """Whatever a door forgets: messages, streams, ends of sessions."""
    desk = desk_of()
    session = opened(desk, ANN)
    for stranger in (Principal(""), Principal("mallory")):
        assert ask(desk, stranger, "tools/list").only.status == 401
        told = on_session(desk, stranger, session, notification("notifications/initialized"))
        assert told.only.status == 401
    assert desk.modern("tools/list").only.status == 401


@on_loop
async def test_a_session_is_that_of_who_opened_it() -> None:
    """For its messages, its stream and its end."""
    desk = desk_of()
    session = opened(desk, ANN)
    told = on_session(desk, BOB, session, legacy("tools/list"))
    assert told.only.status == 404
    with pytest.raises(SessionNotFound):
        desk.pipeline.stream(Request(McpHeaders(session=session), b"", "", principal=BOB), Told())
    assert on_session(desk, ANN, session, legacy("tools/list")).only.status == 200
    hello = on_session(desk, ANN, "", legacy("initialize", {"protocolVersion": "2025-11-25"}))
    assert desk.opened(hello.only.session_id or "").principal == "ann"


def parked_call(desk: Desk, who: Principal, **more: Any) -> Told:
    """Call a tool of a server that asks its client something."""
    meta: dict[str, Any] = {
        "_meta": {"io.modelcontextprotocol/clientCapabilities": {"elicitation": {"form": {}}}}
    }
    return ask(desk, who, "tools/call", name="a__x", **meta, **more)


@on_loop
async def test_a_ticket_is_of_no_use_to_another() -> None:
    """The call that it stands for waits on for its own client."""
    others = Principal("eve", 1)
    desk = desk_of(ANN, others)
    desk.edition.update(catalogue("a", tools="x", eras=frozenset({Era.LEGACY})))
    first = parked_call(desk, ANN)
    desk.hosted["a"].ask("elicitation/create", FORM)
    await eventually(lambda: first.answers, "the question")
    state = first.message["result"]["requestState"]
    bring = {"requestState": state, "inputResponses": {"q1": ACCEPTED}}
    assert "another request" in parked_call(desk, others, **bring).message["error"]["message"]
    assert desk.hosted["a"].calls[0].responses == []
    second = parked_call(desk, ANN, **bring)
    assert desk.hosted["a"].calls[0].responses == [{"result": ACCEPTED}]
    desk.hosted["a"].answer(tool_result("done"))
    assert second.message["result"]["content"][0]["text"] == "done"


@on_loop
async def test_a_task_is_that_of_who_began_it() -> None:
    """Its id is sealed with its owner, and names nothing to anybody else."""
    others = Principal("eve", 1)
    desk = Desk(offers_extension("a"), access=letting_in(ANN, others))
    told = ask(desk, ANN, "tools/call", name="a__x", **DECLARED)
    task = b'{"resultType":"task","taskId":"t1","status":"working","createdAt":"x","ttl":null}'
    desk.backends["a"].answer(task)
    ours = told.message["result"]["taskId"]
    assert desk.task_ids.open(ours) == TaskRef("a", "t1", owner="ann")
    for method in ("tasks/get", "tasks/cancel", "tasks/update"):
        refused = ask(desk, others, method, taskId=ours, **DECLARED)
        assert refused.message["error"]["message"].startswith("unknown task")
    assert len(desk.backends["a"].calls) == 1
    ask(desk, ANN, "tasks/get", taskId=ours, **DECLARED)
    assert len(desk.backends["a"].calls) == 2
    heard = ask(desk, others, "subscriptions/listen", notifications={"taskIds": [ours]}, **DECLARED)
    assert "taskIds" not in heard.messages[0]["params"]["notifications"]
    assert desk.watcher.watched_tasks == []


@on_loop
async def test_nothing_is_heard_of_forbidden_servers() -> None:
    """Neither on a subscription nor on a session's stream."""
    desk = desk_of()
    wanted = {"toolsListChanged": True, "resourceSubscriptions": ["a://1", "both://1", "b://1"]}
    listening = ask(desk, BOB, "subscriptions/listen", notifications=wanted)
    following = Told()
    session = opened(desk, BOB)
    desk.pipeline.stream(Request(McpHeaders(session=session), b"", "", principal=BOB), following)
    serials = frozenset({desk.opened(session).serial})
    assert {server for server, _, _ in desk.watcher.watched} == {"b"}
    del listening.sent[:]
    for server_id in ("a", "", "b"):
        desk.audience.changed(frozenset({"tools"}), server_id)
        desk.audience.updated("both://1", b'{"uri":"both://1"}', serials, server_id)
        desk.audience.logged(b'{"level":"error","data":"x"}', server_id)
        await asyncio.sleep(0)
        if server_id != "b":
            assert listening.messages == following.messages == []
    assert len(listening.messages) == 2
    assert len(following.messages) == 2  # what it logs may be about others


@on_loop
async def test_calls_are_counted_and_lists_are_not() -> None:
    """Each once, also one that had to wait until the servers were known."""
    desk = desk_of(settled=False)
    ask(desk, ANN, "tools/list")
    ask(desk, ANN, "tools/call", name="c__x")
    desk.edition.settle()
    assert desk.bucket.charged == [5]
    for method, params in (
        ("resources/read", {"uri": "a://1"}), ("prompts/get", {"name": "a__p"}),
        ("completion/complete", {"ref": {"type": "ref/prompt", "name": "a__p"}}),
        ("tools/call", {"name": "a__x"}),
    ):  # fmt: skip
        ask(desk, ANN, method, **params)
    assert desk.bucket.charged == [5] * 5
    for method in ("tools/list", "prompts/list", "resources/list", "server/discover"):
        ask(desk, ANN, method)
    on_session(desk, ANN, opened(desk, ANN), legacy("ping"))
    ask(desk, BOB, "tools/call", name="b__x")
    assert desk.bucket.charged == [5] * 5
    passed_on = Request(
        modern_headers("tools/call", "a__x"), modern("tools/call", {"name": "a__x"}), "",
        principal=ANN, forwarded=True,
    )  # fmt: skip
    desk.take(passed_on)
    assert desk.bucket.charged == [5] * 5


@on_loop
async def test_beyond_the_rate_no_server_is_asked() -> None:
    """And the answer says when to come back."""
    desk = desk_of()
    desk.bucket.wait_ns = 1
    told = ask(desk, ANN, "tools/call", name="a__x")
    assert (told.only.status, told.only.headers) == (429, (("Retry-After", "1"),))
    told = on_session(desk, ANN, opened(desk, ANN, ALL), legacy("tools/call", {"name": "a__x"}))
    assert (told.only.status, told.only.headers) == (200, (("Retry-After", "1"),))
    assert desk.bucket.exceeded == [5, 5]
    assert desk.backends["a"].calls == []
    assert [outcome.principal.id for outcome in desk.outcomes] == ["ann", "ann"]


@on_loop
async def test_a_message_that_is_none_is_refused_to_strangers_first() -> None:
    """They learn nothing of what would be wrong with it."""
    desk = desk_of()
    told = desk.take(Request(McpHeaders(), encode({"method": 1}), ""))
    assert told.only.status in (400, 401)


@on_loop
async def test_whoever_has_a_key_hears_nothing_that_a_shared_server_logs_outside_of_calls() -> None:
    """It may be about what another one has done."""
    for who, heard in ((ANN, []), (Principal(""), ["notifications/message"])):
        desk = desk_of() if who.id else Desk(catalogue("a", tools="x"))
        session = opened(desk, who)
        told = Told()
        desk.pipeline.stream(Request(McpHeaders(session=session), b"", "", principal=who), told)
        desk.audience.logged(b'{"level":"error"}', "a")
        assert [message["method"] for message in told.messages] == heard
