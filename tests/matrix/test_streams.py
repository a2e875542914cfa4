"""What goes the other way while a call is under way, and streams that break meanwhile."""

import pytest

from tests.matrix.client import Client
from tests.matrix.gaps import everywhere
from tests.matrix.http_carrier import HttpCarrier
from tests.matrix.sides import Pair
from tests.matrix.stage import Stage
from tests.matrix.test_refusals import asking, expected, question
from tests.support.matrix.exotic import EXOTIC

pytestmark = pytest.mark.real
COMPLETE = "notifications/elicitation/complete"


@everywhere("ping of the server")
async def test_a_server_that_pings_during_a_call_is_answered(pair: Pair, stage: Stage) -> None:
    """By the gateway: the client need not be there."""
    await pinged(await stage.client(pair.front), pair)


@everywhere("ping of the server on a shared connection")
async def test_a_server_that_pings_on_a_shared_connection_is_answered(
    pair: Pair, stage: Stage
) -> None:
    """That of clients that cannot be asked anything."""
    await pinged(await stage.client(pair.front, bare=True), pair)


async def pinged(client: Client, pair: Pair) -> None:
    """Have the server ping."""
    assert (await client.call(pair.name("ping"))).said == {"result": {}}
    assert [one for one in client.asked if one.method == "ping"] == []


@everywhere("a URL that is dealt with")
async def test_a_client_hears_that_a_url_was_dealt_with(pair: Pair, stage: Stage) -> None:
    """Under the id that it was given with the URL; a modern client got none."""
    client, key = await stage.client(pair.front), stage.nonce()
    assert (await client.call(pair.name("opened"), key=key)).said == "opened"
    if pair.front.is_modern:
        assert client.all_heard(COMPLETE, key) == []
        return
    told = await client.hears(COMPLETE, key)  # on the session's own stream it may come after
    (asked,) = {one.params["elicitationId"] for one in client.asked if key in one.raw}
    assert told.params["elicitationId"] == asked
    assert EXOTIC in told.raw
    assert len(client.all_heard(COMPLETE, key)) == 1


@everywhere("progress of an answer")
async def test_a_client_may_report_progress_on_its_answer(pair: Pair, stage: Stage) -> None:
    """It is taken, and the call goes on."""
    client, key = await stage.client(pair.front), stage.nonce()
    client.silent_about.add(key)
    request_id = await client.start("tools/call", asking(pair, key))
    asked = (await question(client, key)).message
    progress = {"progressToken": asked["id"], "progress": 1}
    assert await client.notify("notifications/progress", progress) in (0, 202)
    await client.respond(asked["id"], {"result": expected(key)})
    assert list((await client.finish(request_id)).said["answers"]) == ["0.0.sampling"]


@everywhere("resumed by the client")
async def test_a_client_comes_back_for_the_rest_of_a_broken_stream(
    pair: Pair, stage: Stage
) -> None:
    """By the id of the last event that it saw, to whatever worker; the call goes on meanwhile."""
    client, key = await stage.client(pair.front), stage.nonce()
    carrier = client.carrier
    assert isinstance(carrier, HttpCarrier)
    client.silent_about.add(key)
    request_id = await client.start("tools/call", asking(pair, key))
    asked = (await question(client, key)).message
    await carrier.hang_up(request_id)
    await client.respond(asked["id"], {"result": expected(key)})
    assert await carrier.resume(request_id, carrier.last_event[request_id]) == 200
    assert list((await client.finish(request_id)).said["answers"]) == ["0.0.sampling"]
    assert len([one for one in client.asked if f'"{key}.' in one.raw]) == 1


@everywhere("broken off by the server")
async def test_what_a_server_breaks_off_is_fetched(pair: Pair, stage: Stage) -> None:
    """By the id of its last event; the client sees one call, whole."""
    client: Client = await stage.client(pair.front)
    assert (await client.call(pair.name("hang_up"), key=stage.nonce())).said == "after the break"
