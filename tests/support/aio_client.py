"""Many raw MCP clients on one event loop; each counts its request ids from 1, as SDKs do."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from tests.support.mcp_client import HEADERS, LEGACY, META, modern_headers, said

CONNECTIONS_EACH = 4
"""So that one client has several calls under way at once."""


class AioClient:
    """One client of either era; modern until it initializes."""

    def __init__(self, url: str, http: aiohttp.ClientSession) -> None:
        self.session: str | None = None
        self._url = url
        self._http = http
        self._ids = itertools.count(1)

    async def initialize(self) -> None:
        """Become a legacy client."""
        params = {"protocolVersion": LEGACY, "capabilities": {},
                  "clientInfo": {"name": "test", "version": "1"}}  # fmt: skip
        body = {"jsonrpc": "2.0", "id": next(self._ids), "method": "initialize", "params": params}
        async with self._http.post(self._url, json=body, headers=HEADERS) as response:
            assert response.status == 200, await response.text()
            self.session = response.headers["Mcp-Session-Id"]

    async def request(self, method: str, **params: Any) -> tuple[int, dict[str, Any]]:
        """Send a request; returns the HTTP status and the JSON-RPC response to this very id."""
        request_id = next(self._ids)
        body: dict[str, Any] = {
            "jsonrpc": "2.0", "id": request_id, "method": method, "params": params,
        }  # fmt: skip
        if self.session is None:
            headers = modern_headers(method, params.get("name"))
            body["params"] = {**params, "_meta": META}
        else:
            headers = {**HEADERS, "Mcp-Session-Id": self.session, "MCP-Protocol-Version": LEGACY}
        async with self._http.post(self._url, json=body, headers=headers) as response:
            message = _response(response.content_type, await response.text())
            assert message["id"] in (request_id, None), message
            return response.status, message

    async def call(self, name: str, **arguments: Any) -> str:
        """Call a tool and return what it says.

        Raises:
            CallFailed: the answer is an error.
        """
        return said(*await self.request("tools/call", name=name, arguments=arguments))

    async def close(self) -> None:
        """Close its connections."""
        await self._http.close()


def _response(content_type: str, text: str) -> dict[str, Any]:
    """Return the response, be it the body or the last event of a stream."""
    if content_type == "text/event-stream":
        data = [line for line in text.splitlines() if line.startswith("data:")]
        text = data[-1].removeprefix("data:")
    message: dict[str, Any] = json.loads(text)
    return message


@asynccontextmanager
async def clients(
    url: str, count: int, *, legacy: bool | None = None
) -> AsyncIterator[list[AioClient]]:
    """Open clients with connections of their own.

    Args:
        url: the MCP endpoint.
        count: how many.
        legacy: their era; left out, every other one is legacy.
    """
    opened = []
    try:
        for number in range(count):
            connector = aiohttp.TCPConnector(limit=CONNECTIONS_EACH)
            client = AioClient(url, aiohttp.ClientSession(connector=connector))
            opened.append(client)
            if number % 2 if legacy is None else legacy:
                await client.initialize()
        yield opened
    finally:
        await asyncio.gather(*(client.close() for client in opened))
