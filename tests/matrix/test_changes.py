"""What servers tell of outside of calls: lists that have changed, resources that were updated."""

from collections.abc import Awaitable, Callable
from functools import partial

import pytest

from tests.matrix.client import OWN, Client
from tests.matrix.gaps import everywhere
from tests.matrix.sides import Pair, Plain
from tests.matrix.stage import Stage
from tests.matrix.test_offers import pages
from tests.support.loop import eventually
from tests.support.matrix.exotic import EXOTIC

pytestmark = pytest.mark.real
ACKNOWLEDGED = "notifications/subscriptions/acknowledged"
UPDATED = "notifications/resources/updated"
KINDS = {"tools": "name", "prompts": "name", "resources": "uri"}
Stop = Callable[[], Awaitable[None]]


async def listen(client: Client, wanted: Plain, meta: Plain | None = None) -> Stop:
    """Open a subscription of a modern client; returns what ends it."""
    request_id = await client.start("subscriptions/listen", {"notifications": wanted}, meta=meta)

    def first() -> Plain | None:
        own = (one for one in client.heard if tag(one.params) == request_id)
        return next(({"method": one.method, **one.params} for one in own), None)

    acknowledged = await eventually(first, f"{client.tag} listens to {wanted}")
    assert acknowledged["method"] == ACKNOWLEDGED
    assert acknowledged["notifications"] == wanted
    assert type(tag(acknowledged)) is type(request_id)

    async def stop() -> None:
        await client.cancel(request_id)

    return stop


def tag(params: Plain) -> object:
    """Return the id of the subscription that a notification belongs to."""
    return params.get("_meta", {}).get(OWN + "subscriptionId")


async def changes(actor: Client, listener: Client, pair: Pair, stage: Stage, kind: str) -> None:
    """Have one client change a list; the other hears of it and finds what is new there."""
    key, method = stage.nonce(), f"notifications/{kind}/list_changed"
    heard = len(listener.all_heard(method))
    assert (await actor.call(pair.name("change"), key=key, kind=kind)).said == "changed"
    new = f"new_{key}"
    name = pair.uri(new) if kind == "resources" else pair.name(new)
    names: set[str] = set()
    while name not in names:  # others change lists too, and are heard of
        is_news = partial(_more_than, heard, listener, method)
        heard = await eventually(is_news, f"{listener.tag} hears of {name}")
        found = await pages(listener, f"{kind}/list")
        names = {item[KINDS[kind]] for result, _ in found for item in result[kind]}


def _more_than(heard: int, client: Client, method: str) -> int:
    count = len(client.all_heard(method))
    return count if count > heard else 0


@everywhere("changed lists")
async def test_clients_hear_of_lists_that_have_changed(pair: Pair, stage: Stage) -> None:
    """And find what is new in them."""
    actor = await stage.client(pair.front, bare=True)
    async with stage.newcomer(pair.front, bare=True) as listener:
        if pair.front.is_modern:
            await listen(listener, {f"{kind}ListChanged": True for kind in KINDS})
        for kind in KINDS:
            await changes(actor, listener, pair, stage, kind)


@everywhere("changed lists on an own connection")
async def test_a_client_that_can_be_asked_sees_what_it_has_changed(
    pair: Pair, stage: Stage
) -> None:
    """Its lists may be others than those of clients that cannot be asked."""
    async with stage.newcomer(pair.front) as client:
        if pair.front.is_modern:
            await listen(client, {"toolsListChanged": True})
        await changes(client, client, pair, stage, "tools")


@everywhere("unwanted changes")
async def test_a_subscription_brings_nothing_else(pair: Pair, stage: Stage) -> None:
    """Other lists change without a word."""
    async with stage.newcomer(pair.front, bare=True) as client:
        await listen(client, {"promptsListChanged": True})
        await client.call(pair.name("change"), key=stage.nonce(), kind="tools")
        await client.call(pair.name("touch"), key="", uri=pair.uri("static"))
        await changes(client, client, pair, stage, "prompts")
        methods = {one.method for one in client.heard}
        assert methods == {ACKNOWLEDGED, "notifications/prompts/list_changed"}


async def watch(client: Client, uri: str) -> Stop:
    """Have a client watch a resource; returns what ends that."""
    if client.front.is_modern:
        return await listen(client, {"resourceSubscriptions": [uri]})
    assert (await client.request("resources/subscribe", {"uri": uri})).result == {}

    async def stop() -> None:
        assert (await client.request("resources/unsubscribe", {"uri": uri})).result == {}

    return stop


def upstream(pair: Pair, stage: Stage, uri: str) -> list[bool]:
    """Return whether the server was told to watch a resource, each time that it was told."""
    told: list[bool] = []
    listened = False
    for row in stage.of(pair).rows:
        if row["kind"] == "message" and uri in row["raw"]:
            if row["method"] in ("resources/subscribe", "resources/unsubscribe"):
                told.append(row["method"] == "resources/subscribe")
        elif row["kind"] == "listen":
            is_watched = uri in row["wanted"].get("resourceSubscriptions", ())
            if is_watched is not listened:
                told.append(is_watched)
            listened = is_watched
    return told


async def touched(client: Client, pair: Pair, stage: Stage, uri: str) -> str:
    """Have a client update a resource; returns what the update is called."""
    key = stage.nonce()
    assert (await client.call(pair.name("touch"), key=key, uri=uri)).said == "touched"
    return key


async def hears_with(one: Client, other: Client, pair: Pair, stage: Stage, uri: str) -> bool:
    """Have a client hear of an update, and say whether another hears of it too."""
    key = await touched(one, pair, stage, uri)
    await one.hears(UPDATED, key)
    await other.call(pair.name("echo"), key=key)
    return other.all_heard(UPDATED, key) != []


@everywhere("updated resources")
async def test_whoever_watches_a_resource_hears_of_its_updates(pair: Pair, stage: Stage) -> None:
    """In whatever worker; the server is told by the first who watches and by the last."""
    one = await stage.client(pair.front, bare=True)
    uri = pair.uri(f"items/{stage.nonce()}")
    async with stage.newcomer(pair.front, bare=True) as other:
        stop_one, stop_other = await watch(one, uri), await watch(other, uri)
        await eventually(lambda: upstream(pair, stage, uri) == [True], f"{uri} is watched")
        first = await touched(one, pair, stage, uri)
        for client in (one, other):
            told = await client.hears(UPDATED, first)
            assert told.params["uri"] == uri
            assert EXOTIC in told.raw
        await stop_other()
        while await hears_with(one, other, pair, stage, uri):  # nobody says when that is seen
            pass
        assert not await hears_with(one, other, pair, stage, uri)
        assert upstream(pair, stage, uri) == [True]
        await stop_one()
        await eventually(lambda: upstream(pair, stage, uri) == [True, False], f"{uri} is let go")


@everywhere("updated resources for who can be asked")
async def test_a_client_that_can_be_asked_hears_of_updates_too(pair: Pair, stage: Stage) -> None:
    """Although it may have a connection of its own, and others cause them on theirs."""
    client, actor = await stage.client(pair.front), await stage.client(pair.front, bare=True)
    uri = pair.uri(f"items/{stage.nonce()}")
    stop = await watch(client, uri)
    await eventually(lambda: True in upstream(pair, stage, uri), f"{uri} is watched")
    await client.hears(UPDATED, await touched(actor, pair, stage, uri))
    await stop()


@everywhere("updated resources on an own connection")
async def test_a_client_that_can_be_asked_hears_of_its_own_updates(
    pair: Pair, stage: Stage
) -> None:
    """Whoever caused them."""
    client = await stage.client(pair.front)
    uri = pair.uri(f"items/{stage.nonce()}")
    stop = await watch(client, uri)
    await eventually(lambda: True in upstream(pair, stage, uri), f"{uri} is watched")
    await client.hears(UPDATED, await touched(client, pair, stage, uri))
    await stop()


@everywhere("watched by a client that leaves")
async def test_a_client_that_leaves_watches_nothing_any_more(pair: Pair, stage: Stage) -> None:
    """The server is told when it was the last."""
    uri = pair.uri(f"items/{stage.nonce()}")
    async with stage.newcomer(pair.front, bare=True) as client:
        await watch(client, uri)
        await eventually(lambda: upstream(pair, stage, uri) == [True], f"{uri} is watched")
    await eventually(lambda: upstream(pair, stage, uri) == [True, False], f"{uri} is let go")
