"""What a stream that takes the place of a lost one tells of all that may have changed meanwhile."""

import pytest
from aiohttp import ClientSession, web

from only1mcp.auth.grant import Grant
from only1mcp.auth.principal import Principal
from only1mcp.ingress.http_exchange import HttpExchange, respond
from only1mcp.protocol.subscriptions import KINDS
from only1mcp.proxy import audience, replay
from only1mcp.sessions.session import Session
from tests.support.catalogues import catalogue
from tests.support.desk import Desk
from tests.support.http_site import http_site
from tests.support.loop import eventually, on_loop
from tests.support.told import Told

CHANGED = {kind: f"notifications/{kind}/list_changed" for kind in sorted(KINDS)}
UPDATED = "notifications/resources/updated"


def make_desk() -> tuple[Desk, Session]:
    """Return a desk with two servers, and a legacy session there."""
    desk = Desk(catalogue("a", tools="x"), catalogue("b", tools="x"))
    return desk, desk.opened(desk.session())


@on_loop
async def test_a_stream_that_replaces_one_tells_of_all_that_may_have_been_missed() -> None:
    """Of lists, and what its session watches at servers that exist for it; a first one does not."""
    desk, session = make_desk()
    desk.watcher.subscriptions[session.serial] = [("a", "r://1"), ("b", "s://1")]
    told, some, first = Told(), Told(), Told()
    desk.audience.follow(session, first)
    desk.audience.follow(session, told, instead=True)
    desk.audience.follow(session, some, Principal("", grant=Grant(servers=("b",))), instead=True)
    assert first.methods == []
    assert told.methods == [*CHANGED.values(), UPDATED, UPDATED]
    assert [one["params"] for one in told.messages[3:]] == [{"uri": "r://1"}, {"uri": "s://1"}]
    assert [one["params"] for one in some.messages[3:]] == [{"uri": "s://1"}]


@pytest.mark.parametrize("length", [10, 5000], ids=["many", "long"])
@on_loop
async def test_what_may_have_been_missed_is_told_in_pieces(
    monkeypatch: pytest.MonkeyPatch, length: int
) -> None:
    """No piece is more than is kept of a stream, or than a client is given time to read."""
    desk, session = make_desk()
    uris = [f"r://{number:0{length}}" for number in range(300)]
    desk.watcher.subscriptions[session.serial] = [("a", uri) for uri in uris]
    told = Told()
    monkeypatch.setattr(audience, "PAUSE_S", 0.0)
    desk.audience.follow(session, told, instead=True)
    sizes = [len(told.sent)]
    assert sum(len(message) for _, message in told.sent) < 2 * audience.PIECE
    while len(told.sent) < len(CHANGED) + len(uris):
        await eventually(lambda: len(told.sent) > sizes[-1], "the next piece")
        sizes.append(len(told.sent))
    assert sizes[0] <= audience.MAX_PIECE < replay.MAX_EVENTS
    assert [one["params"]["uri"] for one in told.messages[len(CHANGED) :]] == uris


@on_loop
async def test_more_than_waits_for_a_client_at_a_time_is_told_to_one_that_reads() -> None:
    """Its connection is there only once the first piece is."""
    desk, session = make_desk()
    uris = [f"r://{number:05000}" for number in range(100)]
    desk.watcher.subscriptions[session.serial] = [("a", uri) for uri in uris]

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        exchange = HttpExchange(max_unsent=sum(map(len, uris)) // 2)
        leave = desk.audience.follow(session, exchange, instead=True)
        return await respond(request, exchange, leave)

    async with http_site(handle) as url, ClientSession() as client, client.get(url) as response:
        heard = b""
        while uris[-1].encode() not in heard:
            heard += await response.content.readany()
        assert [uri for uri in uris if uri.encode() not in heard] == []


@pytest.mark.parametrize("how", ["left", "replaced"])
@on_loop
async def test_a_stream_that_is_over_is_told_no_further_piece(
    monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Its client has gone, or has another one, maybe in another worker."""
    desk, session = make_desk()
    desk.watcher.subscriptions[session.serial] = [("a", f"r://{one}") for one in range(300)]
    monkeypatch.setattr(audience, "PAUSE_S", 0.0)
    told, whole = Told(), Told()
    leave = desk.audience.follow(session, told, instead=True)
    if how == "left":
        leave()
    desk.audience.follow(session, whole, instead=True)
    await eventually(lambda: len(whole.sent) == 300 + len(CHANGED), "all of the other one")
    assert len(told.sent) == audience.MAX_PIECE
