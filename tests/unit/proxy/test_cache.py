"""Which answers are given again, to whom, and for how long."""

import json
from dataclasses import replace
from typing import Any

import pytest

from only1mcp._speedups import ENTRIES, HITS, JOINED, MISSES
from only1mcp.auth.access import Access
from only1mcp.auth.grant import Grant
from only1mcp.auth.principal import Principal
from only1mcp.memory.cache_epochs import RESOURCE, TOOL
from only1mcp.protocol.versions import Era
from only1mcp.proxy.exchange import Request
from only1mcp.registry.server import CacheLimits, Kept
from only1mcp.resilience.limiter import Rate
from tests.support.catalogues import catalogue, server, tool
from tests.support.desk import Desk, tool_result
from tests.support.fake_backend import refusal
from tests.support.loop import on_loop
from tests.support.messages import OWN, modern, modern_headers
from tests.support.told import Told

BOTH = frozenset(Era)
URI = "test://one"
TTL = Kept((("x", 10.0),))
WHOLE: dict[str, Any] = {"resultType": "complete"}


class Known(Access):
    """Lets everybody in as whom they say they are."""

    def check(self, principal: Principal) -> Principal:
        """Believe it."""
        return principal


def desk(**kept: Kept) -> Desk:
    """Return a pipeline before servers whose answers are kept so."""
    offers = [catalogue(one, tools="x", resources=URI, eras=BOTH) for one in kept]
    return Desk(*offers, kept=kept, access=Known())


def text(word: str, **more: Any) -> bytes:
    """Return what a tool answers."""
    return json.dumps({**json.loads(tool_result(word)), **WHOLE, **more}).encode()


def contents(word: str, ttl_ms: object, scope: object) -> bytes:
    """Return what a resource holds."""
    said = {"contents": [{"uri": URI, "text": word}], "ttlMs": ttl_ms, "cacheScope": scope}
    return json.dumps({**WHOLE, **said}).encode()


def send(desk: Desk, who: str, method: str, params: dict[str, Any], request_id: object = 1) -> Told:
    """Send a modern request as somebody."""
    name = params.get("uri") if method == "resources/read" else params.get("name")
    body = modern(method, params, request_id=request_id)
    return desk.take(Request(modern_headers(method, name), body, "", principal=Principal(who)))


def call(desk: Desk, who: str = "ann", request_id: object = 1, **arguments: Any) -> Told:
    """Call the tool."""
    params = {"name": "a__x", "arguments": arguments}
    return send(desk, who, "tools/call", params, request_id)


def read(desk: Desk, who: str = "ann") -> Told:
    """Read the resource."""
    return send(desk, who, "resources/read", {"uri": URI})


def sent(desk: Desk, server_id: str = "a") -> int:
    """Return how many calls have reached the server."""
    return len(desk.backends[server_id].calls)


@on_loop
async def test_an_equal_call_is_answered_from_the_cache_under_its_own_id() -> None:
    """The server is not asked; the log and the counts say that it was a hit."""
    subject = desk(a=TTL)
    first = call(subject, q="1")
    subject.backends["a"].answer(text("one"))
    again = call(subject, request_id="other", q="1")
    assert again.message["id"] == "other"
    assert again.message["result"] == first.message["result"]
    assert sent(subject) == 1
    assert [one.cache for one in subject.outcomes] == ["miss", "hit"]
    assert [one.server_id for one in subject.outcomes] == ["a", "a"]
    assert [subject.shelves[at] for at in (HITS, JOINED, MISSES, ENTRIES)] == [1, 0, 1, 1]


@pytest.mark.parametrize(
    "other", [{"q": "2"}, {"q": 1}, {"q": "1", "r": None}, {}, {"q": "1 "}], ids=str
)
@on_loop
async def test_other_arguments_are_another_call(other: dict[str, Any]) -> None:
    """Each is its own."""
    subject = desk(a=TTL)
    call(subject, q="1")
    subject.backends["a"].answer(text("one"))
    call(subject, **other)
    assert sent(subject) == 2


@on_loop
async def test_what_a_client_can_do_tells_its_calls_apart() -> None:
    """A server may answer otherwise to clients that can do other things."""
    subject = desk(a=TTL)
    params = {"name": "a__x", "arguments": {}}
    abilities: list[dict[str, Any]] = [{}, {"extensions": {"io.modelcontextprotocol/ui": {}}}]
    for can in abilities:
        meta = {OWN + "clientCapabilities": can}
        send(subject, "ann", "tools/call", {**params, "_meta": meta})
        subject.backends["a"].answer(text("one"))
    assert sent(subject) == 2


@on_loop
async def test_eras_do_not_share() -> None:
    """Their results are written in different ways."""
    subject = desk(a=TTL)
    call(subject)
    subject.backends["a"].answer(text("one"))
    session = subject.session()
    for _ in range(2):
        told = subject.legacy("tools/call", {"name": "a__x", "arguments": {}}, session)
        if not told.answers:
            subject.backends["a"].answer(tool_result("old"))
        assert told.message["result"] == json.loads(tool_result("old"))
    assert sent(subject) == 2


@on_loop
async def test_callers_never_share_the_answers_of_tools() -> None:
    """Whatever the server says of their scope: that is for resources."""
    subject = desk(a=TTL)
    call(subject, "ann")
    subject.backends["a"].answer(text("for ann", ttlMs=10_000, cacheScope="public"))
    tom = call(subject, "tom")
    subject.backends["a"].answer(text("for tom"))
    assert "for tom" in tom.only.body.decode()
    assert "for ann" in call(subject, "ann").only.body.decode()
    assert "for tom" in call(subject, "tom").only.body.decode()
    assert sent(subject) == 2


@pytest.mark.parametrize(("scope", "calls"), [("public", 1), ("private", 2), ("PUBLIC", 2), (1, 2)])
@on_loop
async def test_only_public_resources_are_shared(scope: object, calls: int) -> None:
    """What is written in another way is not public, and is not kept at all."""
    subject = desk(a=TTL)
    read(subject, "ann")
    subject.backends["a"].answer(contents("x", 5000, scope))
    read(subject, "tom")
    assert sent(subject) == calls


@on_loop
async def test_a_caller_cannot_make_an_answer_for_others() -> None:
    """What is in its `_meta` may have had a say in what a server calls public."""
    subject = desk(a=TTL)
    params = {"uri": URI, "_meta": {"example.com/language": "xx"}}
    send(subject, "eve", "resources/read", params)
    subject.backends["a"].answer(contents("poison", 5000, "public"))
    read(subject, "ann")
    subject.backends["a"].answer(contents("good", 5000, "public"))
    assert sent(subject) == 2
    assert "good" in read(subject, "tom").only.body.decode()


@on_loop
async def test_a_public_answer_is_only_for_who_may_ask() -> None:
    """What does not exist for a caller does not come out of the cache, either."""
    subject = desk(a=TTL)
    read(subject, "ann")
    subject.backends["a"].answer(contents("x", 5000, "public"))
    nobody = Principal("few", grant=Grant(servers=("other",)))
    body, headers = modern("resources/read", {"uri": URI}), modern_headers("resources/read", URI)
    told = subject.take(Request(headers, body, "", principal=nobody))
    assert told.message["error"]["code"] == -32602


@on_loop
async def test_a_resource_says_how_long_it_is_still_good() -> None:
    """Or a client that keeps it too would keep it for twice the time."""
    subject = desk(a=TTL)
    read(subject)
    subject.backends["a"].answer(contents("x", 5000, "private"))
    subject.moment += 2
    assert read(subject).message["result"]["ttlMs"] == 3000
    subject.moment += 2.5
    assert read(subject).message["result"]["ttlMs"] == 500
    subject.moment += 0.5
    read(subject)
    assert sent(subject) == 2


@pytest.mark.parametrize("ttl_ms", [0, -1, "5000", 1.5, None, True, 10**20])
@on_loop
async def test_what_is_no_time_is_not_kept(ttl_ms: object) -> None:
    """Only a whole number of milliseconds is one."""
    subject = desk(a=TTL)
    read(subject)
    subject.backends["a"].answer(contents("x", ttl_ms, "private"))
    read(subject)
    assert sent(subject) == 2


@on_loop
async def test_a_server_cannot_have_a_resource_kept_longer_than_allowed() -> None:
    """`max_ttl` is the longest."""
    subject = desk(a=TTL)
    read(subject)
    subject.backends["a"].answer(contents("x", 10**9, "private"))
    subject.moment += 59.9
    assert read(subject).message["result"]["ttlMs"] <= 100
    subject.moment += 0.2
    read(subject)
    subject.backends["a"].answer(contents("x", 10**9, "private"), 1)
    for max_ttl_s, calls in ((90.0, 2), (2.0, 3)):  # a reload may allow less
        servers, slots = (server("a", kept=TTL),), {"a": 0}
        subject.cache.follow(CacheLimits(2**20, max_ttl_s), servers, slots)
        read(subject)
        assert sent(subject) == calls


@on_loop
async def test_the_time_of_an_answer_begins_when_its_call_is_sent() -> None:
    """The server may have looked at once."""
    subject = desk(a=TTL)
    call(subject)
    subject.moment += 9
    subject.backends["a"].answer(text("one"))
    subject.moment += 1
    call(subject)
    assert sent(subject) == 2


@pytest.mark.parametrize(
    "answer",
    [text("x", isError=True), text("x", task={"taskId": "1"}), refusal(-32000),
     b'{"resultType":"input_required","inputRequests":{},"requestState":"s"}', b"[]",
     b'{"resultType":"complete","inputRequests":{}}'],
)  # fmt: skip
@on_loop
async def test_what_is_no_finished_result_is_not_kept(answer: bytes) -> None:
    """Errors may be gone the next time; tasks and questions belong to one call."""
    subject = desk(a=TTL)
    call(subject)
    subject.backends["a"].answer(answer)
    call(subject)
    assert sent(subject) == 2
    assert subject.shelves[ENTRIES] == 0


@pytest.mark.parametrize("has_state", [False, True])
@on_loop
async def test_a_call_that_goes_on_is_neither_kept_nor_answered_from_the_cache(
    has_state: bool,
) -> None:
    """2026-07-28 says so of calls that bring what a server asked for."""
    subject = desk(a=TTL)
    asks = b'{"resultType":"input_required","inputRequests":{}%b}'
    asked = call(subject)
    subject.backends["a"].answer(asks % (b',"requestState":"s"' if has_state else b""))
    more = {"inputResponses": {}, "requestState": asked.message["result"].get("requestState")}
    brought = {key: value for key, value in more.items() if value is not None}
    for count in (2, 3):
        send(subject, "ann", "tools/call", {"name": "a__x", "arguments": {}, **brought})
        subject.backends["a"].answer(text("one"))
        assert sent(subject) == count
    call(subject)
    assert sent(subject) == 4


@on_loop
async def test_an_answer_that_came_with_messages_is_not_kept() -> None:
    """The next caller would not get them."""
    subject = desk(a=TTL)
    meta = {"progressToken": 1}
    told = send(subject, "ann", "tools/call", {"name": "a__x", "arguments": {}, "_meta": meta})
    token = json.loads(subject.backends["a"].calls[-1].outgoing.token or b"0")
    subject.backends["a"].notify("notifications/progress", {"progressToken": token, "progress": 1})
    subject.backends["a"].answer(text("one"))
    assert len(told.sent) == 1
    call(subject)
    assert sent(subject) == 2


@on_loop
async def test_a_legacy_call_that_wants_a_task_is_not_answered_from_the_cache() -> None:
    """It wants a task."""
    subject = desk(a=TTL)
    params = {"name": "a__x", "arguments": {}}
    session = subject.session()
    subject.legacy("tools/call", params, session)
    subject.backends["a"].answer(tool_result("one"))
    subject.legacy("tools/call", {**params, "task": {"ttl": 1}}, session)
    assert sent(subject) == 2


def everything(subject: Desk) -> None:
    """Say so of all there is."""
    subject.epochs.everything()


def the_server(subject: Desk) -> None:
    """Say so of the server."""
    subject.epochs.server(0)


def the_target(subject: Desk) -> None:
    """Say so of the tool."""
    subject.epochs.target(0, TOOL, "x")


def declared_anew(subject: Desk) -> None:
    """Declare the server in another way."""
    servers = (server("a", kept=Kept((("x", 11.0),))),)
    subject.cache.follow(CacheLimits(2**20, 60.0), servers, {"a": 0})


@pytest.mark.parametrize("change", [everything, the_server, the_target, declared_anew])
@on_loop
async def test_what_has_changed_is_not_given_again(change: Any) -> None:
    """Neither what was kept before, nor what was under way meanwhile."""
    subject = desk(a=TTL)
    call(subject, q="kept")
    subject.backends["a"].answer(text("old"))
    call(subject, q="under way")
    change(subject)
    subject.backends["a"].answer(text("old"))
    call(subject, q="kept")
    call(subject, q="under way")
    assert sent(subject) == 4


@on_loop
async def test_what_has_not_changed_is_still_given() -> None:
    """Another server's changes, another tool's, and a reload that leaves the server as it is."""
    subject = desk(a=TTL, b=TTL)
    call(subject)
    subject.backends["a"].answer(text("one"))
    subject.epochs.server(1)
    subject.epochs.target(0, TOOL, "y")
    subject.epochs.target(0, RESOURCE, "x")
    subject.cache.follow(
        CacheLimits(2**20, 60.0), (server("b"), server("a", kept=TTL)), {"a": 0, "b": 1}
    )
    call(subject)
    assert sent(subject) == 1
    assert subject.shelves[HITS] == 1


@on_loop
async def test_without_limits_nothing_is_kept() -> None:
    """A reload that turns the cache off takes away what there is."""
    subject = desk(a=TTL)
    call(subject)
    subject.backends["a"].answer(text("one"))
    subject.cache.follow(None, (server("a", kept=TTL),), {"a": 0})
    assert len(subject.cache.store) == 0
    call(subject)
    assert sent(subject) == 2
    assert [one.cache for one in subject.outcomes] == ["miss"]


@on_loop
async def test_tools_that_nobody_named_are_not_kept() -> None:
    """Whatever they say of themselves; with a default those are that say they only read."""
    reads = tool("reads", annotations={"readOnlyHint": True})
    offers = catalogue("a", tools="x", eras=BOTH)
    for seconds, calls in ((0.0, 2), (10.0, 1)):
        kept = {"a": Kept(default_s=seconds)}
        more = replace(offers, tools=(*offers.tools, reads))
        subject = Desk(more, kept=kept, access=Known())
        for name in ("a__reads", "a__x"):
            for _ in range(2):
                told = send(subject, "ann", "tools/call", {"name": name, "arguments": {}})
                if not told.answers:
                    subject.backends["a"].answer(text("one"))
        assert sent(subject) == calls + 2


@on_loop
async def test_a_caller_beyond_its_rate_gets_nothing_from_the_cache() -> None:
    """A hit is a call like any other."""
    subject = desk(a=TTL)
    call(subject)
    subject.backends["a"].answer(text("one"))
    subject.bucket.wait_ns = 10**9
    params = {"name": "a__x", "arguments": {}}
    who = Principal("ann", rate=Rate(1, 1.0, 1))
    request = Request(
        modern_headers("tools/call", "a__x"), modern("tools/call", params), "", principal=who
    )
    assert subject.take(request).only.status == 429
    assert subject.shelves[HITS] == 0
