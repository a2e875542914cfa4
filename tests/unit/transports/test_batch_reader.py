"""Bodies that answer a batch."""

import json
from typing import Any

import pytest
from aiohttp import web

from only1mcp.errors import BackendError, BackendProtocolError
from only1mcp.transports.batch_reader import BatchReader
from only1mcp.transports.streamable_http import HttpAnswer, StreamableHttp, make_client
from tests.support.batch_site import answer_to, stream
from tests.support.http_site import http_site
from tests.support.loop import on_loop

ONE, TWO = (answer_to({"id": n, "params": {}}) for n in (1, 2))


async def read(*events: object, **response: Any) -> tuple[list[Any], HttpAnswer]:
    """Have an answer read: a stream of events, or one body; returns the messages in it."""
    taken: list[Any] = []

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        await request.read()
        if events:
            return await stream(request, *events, event_id="e")
        return web.Response(**response)

    client = make_client()
    reader = BatchReader("srv", lambda one: taken.append(json.loads(one.body)), lambda: False)
    try:
        async with http_site(handle) as url:
            wire = StreamableHttp(client, "srv", url, {})
            answer = await wire.ask("POST", b"[]", {}, None, reader)
    finally:
        await client.close()
    return taken, answer


@on_loop
async def test_an_array_is_taken_member_by_member() -> None:
    """What is no message in it is left out."""
    body = json.dumps([ONE, 7, {}, [ONE], TWO])
    taken, answer = await read(text=body, content_type="application/json")
    assert (taken, answer.message) == ([ONE, TWO], None)


@on_loop
async def test_a_single_response_is_noted_beside() -> None:
    """It may refuse the whole batch; at an error's status it often does."""
    for status in (200, 400):
        taken, answer = await read(text=json.dumps(ONE), status=status)
        assert taken == [ONE]
        assert answer.message is not None
        assert answer.message.id == b"1"
    assert (await read(text="no", status=400))[1].message is None
    assert (await read(status=202))[0] == (await read(text=""))[0] == []


@on_loop
async def test_a_stream_may_hold_messages_and_arrays_of_them() -> None:
    """Its last event is where it goes on."""
    taken, answer = await read(ONE, [TWO, ONE])
    assert (taken, answer.resume_from, answer.retry_s) == ([ONE, TWO, ONE], "e", 0.001)


@pytest.mark.parametrize("body", ["no", "{}", "[1", "3"])
@on_loop
async def test_a_body_that_is_none_of_that_is_refused(body: str) -> None:
    """It says nothing of any call."""
    with pytest.raises(BackendProtocolError) as caught:
        await read(text=body)
    assert isinstance(caught.value, BackendError)
