"""An HTTP server with one tool, as cheap as Python can make it: what is measured is others.

Run as `python -m benchmarks.echo_backend PORT[,PORT...] RESULT_BYTES [legacy]`. The tool `echo`
answers with its argument `text`, made that long. It speaks both eras, the legacy one without
sessions; as `legacy` it knows nothing of 2026-07-28.
"""

import asyncio
import re
import sys
from typing import cast

import orjson
import uvloop

_ID = re.compile(rb'"id": ?("[^"]*"|[0-9]+)')
_TEXT = re.compile(rb'"text": ?"([^"\\\\]*)"')
_VERSION = re.compile(rb'"protocolVersion": ?("[^"]*")')
_LENGTH = re.compile(rb"content-length: ?([0-9]+)", re.IGNORECASE)
_DISCOVERED = {
    "resultType": "complete", "supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}},
    "ttlMs": 0, "cacheScope": "private",
}  # fmt: skip
_OPENED = (
    b'{"protocolVersion":%b,"capabilities":{"tools":{}},"serverInfo":{"name":"echo","version":"1"}}'
)
_UNKNOWN = b'{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"unknown version"}}'
REFUSED = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
    % (len(_UNKNOWN), _UNKNOWN)
)
_TYPE = b'"resultType":"complete",'
_SAID = b'{"resultType":"complete","content":[{"type":"text","text":"%b"}]}'
_TOOL = {"name": "echo", "description": "Answer.", "inputSchema": {"type": "object"}}
_TOOLS = {"resultType": "complete", "tools": [_TOOL], "ttlMs": 0, "cacheScope": "private"}


class Echo(asyncio.Protocol):
    """One connection."""

    def __init__(self, size: int) -> None:
        self._size = size
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
        whole = self._respond(body)
        if whole is None:  # a notification, or a question by GET or DELETE
            status = b"202 Accepted" if body else b"405 Method Not Allowed"
            self._transport.write(b"HTTP/1.1 %b\r\nContent-Length: 0\r\n\r\n" % status)
            return
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        self._transport.write(head % len(whole) + whole)

    def _respond(self, body: bytes) -> bytes | None:
        return answer(body, self._size)


class LegacyEcho(Echo):
    """One connection to a server that refuses modern requests, and types no results."""

    def _answer(self, body: bytes) -> None:
        if b'"io.modelcontextprotocol/protocolVersion"' in body:
            self._transport.write(REFUSED)
            return
        super()._answer(body)

    def _respond(self, body: bytes) -> bytes | None:
        whole = super()._respond(body)
        return None if whole is None else whole.replace(_TYPE, b"", 1)


def answer(body: bytes, size: int) -> bytes | None:
    """Return the response to a message; None if it gets none."""
    found = _ID.search(body)
    if found is None:
        return None
    return b'{"jsonrpc":"2.0","id":%b,"result":%b}' % (found.group(1), _result(body, size))


def _result(body: bytes, size: int) -> bytes:
    if b'"tools/call"' in body:
        text = _TEXT.search(body)
        return _SAID % (text.group(1) if text else b"").ljust(size, b"x")
    if b'"tools/list"' in body:
        return orjson.dumps(_TOOLS)
    version = _VERSION.search(body)
    if b'"initialize"' in body and version:
        return _OPENED % version.group(1)
    return orjson.dumps(_DISCOVERED)


async def main() -> None:
    """Serve until killed."""
    ports, size = [int(port) for port in sys.argv[1].split(",")], int(sys.argv[2])
    kind = LegacyEcho if sys.argv[3:] == ["legacy"] else Echo
    loop = asyncio.get_running_loop()
    servers = [await loop.create_server(lambda: kind(size), "127.0.0.1", port) for port in ports]
    await asyncio.gather(*(server.serve_forever() for server in servers))


if __name__ == "__main__":
    uvloop.run(main())
