"""What control asks the host, now and then, on a link that it opens for that."""

import asyncio
from pathlib import Path

import orjson

from only1mcp.links.frames import Kind
from only1mcp.links.link import Link, connect
from only1mcp.links.wire import TOOLS, CallFrame

_TOKEN = 1
_WAIT_S = 2.0


async def tools_of(host_socket: Path, server_id: str) -> list[str] | None:
    """Return the tools of a server by its own names; None when nobody knows them now."""
    answered: asyncio.Future[list[str] | None] = asyncio.get_running_loop().create_future()

    def on_frame(link: Link, kind: Kind, token: int, payload: bytes) -> None:
        del link
        if token == _TOKEN and not answered.done():  # all else is what every link is greeted with
            answered.set_result(orjson.loads(payload) if kind is Kind.REPLY else None)

    def on_close(link: Link) -> None:
        del link
        if not answered.done():
            answered.set_result(None)

    try:
        async with asyncio.timeout(_WAIT_S):
            link = await connect(host_socket, lambda: Link(on_frame, on_close))
            try:
                link.send(Kind.CALL, _TOKEN, CallFrame(server_id, TOOLS, b"", "").encode())
                return await answered
            finally:
                link.close()
    except (OSError, TimeoutError):
        return None
