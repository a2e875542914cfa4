"""A server behind a WebSocket: every text frame is one message.

No revision of MCP describes this transport. It is what the SDKs of the first generation agree on:
the subprotocol `mcp`, one message in a frame, and for the rest the rules of stdio.
"""

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Literal

import aiohttp
from aiohttp.http import WSMessageNoDecodeText

from only1mcp import __version__
from only1mcp.errors import BackendProtocolError
from only1mcp.transports.channel import MAX_MESSAGE_BYTES, ChannelObserver
from only1mcp.transports.opening import opening, refusal
from only1mcp.transports.remote_channel import RemoteChannel

PING_S = 20.0
"""After so much silence the server is asked whether it lives; it has half of that to answer."""
_SUBPROTOCOL = "mcp"
_LINGER_S = 1.0
"""How long our last bytes may take to leave."""


class WebSocketChannel(RemoteChannel):
    """One WebSocket connection."""

    def __init__(
        self, socket: aiohttp.ClientWebSocketResponse[Literal[False]], transport: asyncio.Transport,
        observer: ChannelObserver,
    ) -> None:  # fmt: skip
        super().__init__(observer)
        self._socket = socket
        self._transport = transport
        self._parted = False

    @classmethod
    async def open(
        cls, client: aiohttp.ClientSession, name: str, url: str, headers: Mapping[str, str],
        timeout_s: float, observer: ChannelObserver,
    ) -> "WebSocketChannel":  # fmt: skip
        """Connect to a `ws` or `wss` address.

        Raises:
            BackendUnreachable: no connection, or no credentials that the server accepts.
            BackendProtocolError: the address is not that of an MCP server behind a WebSocket.
        """
        upgrade = _Upgrade(name)
        # A session of its own, for only a whole session can be told to follow no redirects here.
        session = aiohttp.ClientSession(
            connector=client.connector, connector_owner=False, middlewares=[upgrade],
            cookie_jar=aiohttp.DummyCookieJar(), timeout=aiohttp.ClientTimeout(total=None),
            headers={"User-Agent": f"only1mcp/{__version__}"},
        )  # fmt: skip
        try:
            async with opening(name, timeout_s):
                socket = await session.ws_connect(
                    url, protocols=[_SUBPROTOCOL], headers=headers, heartbeat=PING_S,
                    autoclose=False, decode_text=False,
                    max_msg_size=MAX_MESSAGE_BYTES + 1,  # the first size that is refused
                )  # fmt: skip
        finally:
            session.detach()
        assert upgrade.transport is not None
        channel = cls(socket, upgrade.transport, observer)
        channel._begin()
        return channel

    async def _receive(self) -> str:
        while True:
            message = await self._socket.receive()
            if message.type is not aiohttp.WSMsgType.TEXT:
                return await self._reason_for(message)
            self._observer.on_line(message.data)

    async def _reason_for(self, message: WSMessageNoDecodeText) -> str:
        """Say why the connection ends with this frame, and answer what has to be answered."""
        if message.type is aiohttp.WSMsgType.CLOSE:
            await self._part(aiohttp.WSCloseCode.OK)
            told = f"{message.data} {message.extra!r}" if message.extra else str(message.data)
            return f"closed the connection ({told})" if message.data else "closed the connection"
        if message.type is aiohttp.WSMsgType.BINARY:
            await self._part(aiohttp.WSCloseCode.UNSUPPORTED_DATA)
            return "sent a binary frame"
        if message.type is not aiohttp.WSMsgType.ERROR:
            return "broke off the connection"
        if isinstance(message.data, aiohttp.ServerTimeoutError):
            return "answered no ping"
        if getattr(message.data, "code", None) == aiohttp.WSCloseCode.MESSAGE_TOO_BIG:
            return f"sent a message of more than {MAX_MESSAGE_BYTES} bytes"
        return f"sent what is not a WebSocket frame ({message.data})"

    async def _send(self) -> None:
        try:
            while (message := await self._outbox.get()) is not None:
                await self._socket.send_frame(message, aiohttp.WSMsgType.TEXT)
                self._outbox.sent(message)
        except aiohttp.ClientError:
            return  # the connection is gone; whoever reads from it learns why
        await self._part(aiohttp.WSCloseCode.OK)

    async def _part(self, code: int) -> None:
        """Send our closing frame, once; what comes before theirs is read still."""
        if self._parted:
            return
        self._parted = True
        with contextlib.suppress(aiohttp.ClientError):
            await self._socket.send_frame(code.to_bytes(2), aiohttp.WSMsgType.CLOSE)

    async def _hang_up(self) -> None:
        self._transport.close()
        await self._socket.close()  # waits for nothing now; it ends the keep-alive
        asyncio.get_running_loop().call_later(_LINGER_S, self._transport.abort)


class _Upgrade:
    """Watches the request that opens a WebSocket."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.transport: asyncio.Transport | None = None

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Send it; whatever is no upgrade ends here, before anybody follows a redirect."""
        response = await handler(request)
        if response.status != 101:
            response.close()
            raise refusal(self._name, response.status)
        chosen = response.headers.get("Sec-WebSocket-Protocol", _SUBPROTOCOL)
        if chosen != _SUBPROTOCOL:  # the SDKs put up with a server that chooses none
            response.close()
            raise BackendProtocolError(
                f"server {self._name} speaks {chosen[:50]!r} on its WebSocket, not MCP"
            )
        if response.connection is not None:
            self.transport = response.connection.transport
        return response
