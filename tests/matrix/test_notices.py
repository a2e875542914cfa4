"""What comes before the answer: progress and log messages; and calls that are taken back."""

import contextlib
from typing import Any

import pytest

from tests.matrix.client import OWN, Client, Heard
from tests.matrix.gaps import everywhere
from tests.matrix.http_carrier import HttpCarrier
from tests.matrix.sides import FRONTS, Pair
from tests.matrix.stage import Stage
from tests.support.matrix.call import LEVELS
from tests.support.matrix.exotic import EXOTIC, EXOTIC_KEY

pytestmark = pytest.mark.real
PROGRESS, MESSAGE = "notifications/progress", "notifications/message"


def check_stream(client: Client, heard: list[Heard], request_id: object) -> None:
    """Check that messages came on the stream of their request, where it has one."""
    wanted = {request_id} if client.carrier.has_streams else {None}
    assert {one.stream for one in heard} == wanted


@everywhere("progress")
async def test_progress_comes_with_the_clients_own_token(pair: Pair, stage: Stage) -> None:
    """Of the type that the client chose, and nobody else's."""
    client, records = await stage.client(pair.front), stage.of(pair)
    for token in (stage.nonce(), int(stage.nonce()[1:-1])):
        key = stage.nonce()
        params = {"name": pair.name("progress"), "arguments": {"key": key}}
        request_id = await client.start("tools/call", params, meta={"progressToken": token})
        reply = await client.finish(request_id)
        heard = client.all_heard(PROGRESS, f'"{key}"')
        assert [one.params["progressToken"] for one in heard] == [token, token]
        assert [type(one.params["progressToken"]) for one in heard] == [type(token)] * 2
        assert [one.params["progress"] for one in heard] == [0, 2]
        assert all(EXOTIC in one.raw for one in heard)
        check_stream(client, heard, request_id)
        theirs = reply.said
        assert len(records.find("message", f'"progressToken":"{theirs}"')) == 1


@everywhere("no progress")
async def test_a_client_that_wants_no_progress_hears_none(pair: Pair, stage: Stage) -> None:
    """Not even what a server tells under tokens of others."""
    client, key = await stage.client(pair.front), stage.nonce()
    reply = await client.call(pair.name("progress"), key=key)
    assert reply.said is None
    assert client.all_heard(PROGRESS, key) == []


async def logged(client: Client, pair: Pair, key: str, meta: dict[str, Any]) -> list[str]:
    """Have the server log at every level; return those that the client hears of."""
    params = {"name": pair.name("log"), "arguments": {"key": key}}
    request_id = await client.start("tools/call", params, meta=meta)
    assert (await client.finish(request_id)).said == "logged"
    heard = client.all_heard(MESSAGE, f'"{key}"')
    if heard:
        check_stream(client, heard, request_id)
        assert all(f'"data":{{"key":"{key}","{EXOTIC_KEY}":{EXOTIC}}}' in one.raw for one in heard)
    return [one.params["level"] for one in heard]


@everywhere("log messages")
async def test_a_client_gets_log_messages_from_its_own_level_on(pair: Pair, stage: Stage) -> None:
    """Although others want more or less on the same connection to the server."""
    client = await stage.client(pair.front, bare=True)
    level = LEVELS[FRONTS.index(pair.front) % len(LEVELS)]
    meta = {}
    if pair.front.is_modern:
        meta = {OWN + "logLevel": level}
    else:
        assert (await client.request("logging/setLevel", {"level": level})).result == {}
    async with alone(pair, stage):
        heard = await logged(client, pair, stage.nonce(), meta)
    assert heard == list(LEVELS[LEVELS.index(level) :])


def alone(pair: Pair, stage: Stage) -> contextlib.AbstractAsyncContextManager[None]:
    """Let no other call be under way where a log message names none that it belongs to."""
    return stage.alone(pair.back) if pair.back.is_channel else contextlib.nullcontext()


@everywhere("log messages on an own connection")
async def test_a_client_that_can_be_asked_gets_its_log_messages_too(
    pair: Pair, stage: Stage
) -> None:
    """Where it has a connection of its own, with calls of others under way."""
    client, level = await stage.client(pair.front), "warning"
    meta = {OWN + "logLevel": level} if pair.front.is_modern else {}
    if not meta:
        await client.request("logging/setLevel", {"level": level})
    shared = pair.back.is_channel and pair.leg_is_modern
    async with alone(pair, stage) if shared else contextlib.nullcontext():
        heard = await logged(client, pair, stage.nonce(), meta)
    assert heard == list(LEVELS[LEVELS.index(level) :])


@everywhere("no log messages")
async def test_a_modern_client_that_names_no_level_gets_no_log_messages(
    pair: Pair, stage: Stage
) -> None:
    """Whatever a server logs."""
    client = await stage.client(pair.front)
    async with alone(pair, stage):
        assert await logged(client, pair, stage.nonce(), {}) == []


@everywhere("bad level")
async def test_a_level_that_does_not_exist_is_refused(pair: Pair, stage: Stage) -> None:
    """Before any server hears of it."""
    client = await stage.client(pair.front)
    reply = await client.request("logging/setLevel", {"level": f"very-{pair.back.id}"})
    assert reply.error["code"] == -32602


@everywhere("cancelled by the client")
async def test_a_call_that_its_client_takes_back_is_cancelled_at_the_server(
    pair: Pair, stage: Stage
) -> None:
    """By what the transport has for that; the connection goes on."""
    client, key, records = await stage.client(pair.front), stage.nonce(), stage.of(pair)
    params = {"name": pair.name("hang"), "arguments": {"key": key}}
    request_id = await client.start("tools/call", params)
    await records.wait("started", key=key)
    assert records.find("cancelled", key=key) == []
    await client.cancel(request_id)
    await records.wait("cancelled", key=key)
    assert (await client.call(pair.name("echo"), key=key)).said["key"] == key


@everywhere("left by the client")
async def test_a_call_whose_client_is_gone_is_cancelled_at_the_server(
    pair: Pair, stage: Stage
) -> None:
    """Where a broken connection can be resumed, once the client ends its session."""
    key, records = stage.nonce(), stage.of(pair)
    async with stage.newcomer(pair.front) as client:
        params = {"name": pair.name("hang"), "arguments": {"key": key}}
        await client.start("tools/call", params)
        await records.wait("started", key=key)
        if isinstance(client.carrier, HttpCarrier) and not pair.front.is_modern:
            assert await client.carrier.end_session() == 200
        else:
            await client.carrier.vanish()
        await records.wait("cancelled", key=key)


@everywhere("a question withdrawn")
async def test_a_question_that_the_server_takes_back_is_taken_back_from_the_client(
    pair: Pair, stage: Stage
) -> None:
    """A modern client, which cannot be told, may have been asked in vain."""
    client, key = await stage.client(pair.front), stage.nonce()
    client.silent_about.add(key)
    reply = await client.call(pair.name("withdraw"), key=key)
    assert reply.said == "withdrawn"
    if pair.front.is_modern:
        return
    (question,) = [one for one in client.asked if key in one.raw]
    named = [one.params["requestId"] for one in client.all_heard("notifications/cancelled")]
    assert question.message["id"] in named
