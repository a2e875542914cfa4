"""A modern HTTP server with one tool, as cheap as Python can make it: what is measured is others.

Run as `python -m benchmarks.echo_backend PORT RESULT_BYTES`.
"""

import asyncio
import re
import sys
from typing import cast

import orjson
import uvloop

_ID = re.compile(rb'"id": ?("[^"]*"|[0-9]+)')
_LENGTH = re.compile(rb"content-length: ?([0-9]+)", re.IGNORECASE)
_DISCOVERED = {
    "resultType": "complete", "supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}},
    "ttlMs": 0, "cacheScope": "private",
}  # fmt: skip
_TOOL = {"name": "echo", "description": "Answer.", "inputSchema": {"type": "object"}}
_TOOLS = {"resultType": "complete", "tools": [_TOOL], "ttlMs": 0, "cacheScope": "private"}


class Echo(asyncio.Protocol):
    """One connection."""

    def __init__(self, size: int) -> None:
        content = [{"type": "text", "text": "x" * size}]
        self._result = orjson.dumps({"resultType": "complete", "content": content})
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where to write."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Answer what has come whole."""
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            found = _LENGTH.search(self._buffer, 0, end)
            size = end + 4 + (int(found.group(1)) if found else 0)
            if len(self._buffer) < size:
                return
            self._answer(self._buffer[end + 4 : size])
            self._buffer = self._buffer[size:]

    def _answer(self, body: bytes) -> None:
        result = self._result
        if b'"server/discover"' in body:
            result = orjson.dumps(_DISCOVERED)
        elif b'"tools/list"' in body:
            result = orjson.dumps(_TOOLS)
        found = _ID.search(body)
        request_id = found.group(1) if found else b"null"
        whole = b'{"jsonrpc":"2.0","id":%b,"result":%b}' % (request_id, result)
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        self._transport.write(head % len(whole) + whole)


async def main() -> None:
    """Serve until killed."""
    port, size = int(sys.argv[1]), int(sys.argv[2])
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Echo(size), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
