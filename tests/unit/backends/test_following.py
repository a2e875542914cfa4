"""The stream of a legacy session, on which a server speaks outside of any request."""

import asyncio

import pytest

from only1mcp._speedups import Envelope
from only1mcp.errors import BackendLost, BackendProtocolError
from tests.support.loop import on_loop
from tests.support.streaming_server import StreamingServer
from tests.unit.backends.test_http_session import met


@on_loop
async def test_the_stream_of_a_session_is_followed_to_its_end() -> None:
    """What belongs to no call is heard, and questions that nobody is there for are refused."""
    server, heard = StreamingServer(), list[Envelope]()
    async with met(server) as session:
        task = asyncio.get_running_loop().create_task(session.follow(heard.append))
        stream = await server.stream()
        assert stream.headers["mcp-session-id"] == "srv-1"
        stream.say({"method": "notifications/tools/list_changed"})
        stream.say({"id": 5, "method": "roots/list"})
        await server.was_posted("-32601")
        stream.end()
        await task
        assert [message.method for message in heard] == ["notifications/tools/list_changed"]
        server.get_status = 405
        with pytest.raises(BackendProtocolError, match="no stream to follow"):
            await session.follow(heard.append)
        assert server.methods.count("initialize") == 1


@pytest.mark.parametrize("status", [404, 400])
@on_loop
async def test_only_a_session_that_was_forgotten_is_opened_anew_for_its_stream(status: int) -> None:
    """A server that refuses the stream alone knows it all the same, as a ping shows."""
    server = StreamingServer()
    async with met(server) as session:
        await session.hello()
        server.get_status = server.forgotten_status = status
        with pytest.raises(BackendProtocolError, match="no stream to follow"):
            await session.follow(lambda message: None)
        assert server.methods.count("initialize") == 1
        server.sessions.clear()
        await session.follow(lambda message: None)
    assert server.methods.count("initialize") == 2


@on_loop
async def test_a_stream_that_is_taken_is_there_again_soon() -> None:
    """The server has not noticed yet that the one before it ended: that is an outage."""
    server = StreamingServer()
    server.get_status = 409
    async with met(server) as session:
        with pytest.raises(BackendLost, match="is taken"):
            await session.follow(lambda message: None)
