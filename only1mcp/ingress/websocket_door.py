"""The WebSocket way in: every text frame is one message.

No revision of MCP describes it; it is what SDKs of the first generation speak, with the subprotocol
`mcp`. The guard lets everything pass after such an upgrade, so frames are bounded here.
"""

import asyncio

from aiohttp import WSCloseCode, WSMsgType, web

from only1mcp.errors import InvalidRequest
from only1mcp.ingress.channels import Channels
from only1mcp.ingress.duplex import Duplex
from only1mcp.ingress.held import Held, Unsent
from only1mcp.ingress.http_request import PRINCIPAL
from only1mcp.ingress.service import McpService
from only1mcp.transports.remote_channel import Outbox

PATH = "/ws"
PING_S = 20.0
"""After so much silence the client is asked whether it lives; it has half of that to answer."""
CLOSE_S = 2.0
"""How long the client may take to agree that the connection ends."""
_SUBPROTOCOL = "mcp"


class WebSocketDoor:
    """Carries on a channel on each connection."""

    def __init__(
        self, service: McpService, channels: Channels, max_message: int, held: Held | None = None
    ) -> None:
        self._service = service
        self._held = held or Held()
        self._channels = channels
        self._max_message = max_message

    async def open(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer the upgrade, and serve up to the end of the connection.

        Raises:
            InvalidRequest: the request is no upgrade to MCP on a WebSocket.
        """
        socket = web.WebSocketResponse(
            protocols=(_SUBPROTOCOL,), heartbeat=PING_S, timeout=CLOSE_S, compress=False,
            max_msg_size=self._max_message + 1,  # the first size that is refused
            decode_text=False,
        )  # fmt: skip
        if not (_offers_mcp(request) and socket.can_prepare(request)):
            raise InvalidRequest(
                "a WebSocket handshake is expected here",
                hint=f"offer the subprotocol {_SUBPROTOCOL}",
            )
        await socket.prepare(request)
        await self._serve(request, socket)
        return socket

    async def _serve(self, request: web.BaseRequest, socket: "web.WebSocketResponse[bool]") -> None:
        outbox = Outbox()

        def give_up() -> None:
            if request.transport is not None:
                request.transport.abort()  # the client does not read

        unsent = Unsent(self._held, lambda: outbox.size, give_up)

        def write(message: bytes) -> None:
            if outbox.put(message):
                unsent.added()
            else:
                give_up()

        duplex = Duplex(self._service, write, request.remote or "", PATH, request[PRINCIPAL])
        self._channels.add(duplex, outbox.close)
        self._channels.read_from.add(request.protocol)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_send(socket, outbox, unsent))
                await _receive(socket, duplex)
                outbox.close()
        finally:
            unsent.end()
            self._channels.remove(duplex)
            self._channels.read_from.discard(request.protocol)


async def _receive(socket: "web.WebSocketResponse[bool]", duplex: Duplex) -> None:
    while (message := await socket.receive()).type is WSMsgType.TEXT:
        if not _is_utf8(message.data):
            await socket.close(code=WSCloseCode.INVALID_TEXT, message=b"text must be UTF-8")
            return
        duplex.take(message.data)
    if message.type is WSMsgType.BINARY:
        await socket.close(code=WSCloseCode.UNSUPPORTED_DATA, message=b"text frames only")


async def _send(socket: "web.WebSocketResponse[bool]", outbox: Outbox, unsent: Unsent) -> None:
    """Send what is written, and say goodbye when there will be no more."""
    try:
        while (message := await outbox.get()) is not None:
            await socket.send_frame(message, WSMsgType.TEXT)
            outbox.sent(message)
            unsent.sent()
        await socket.close(code=WSCloseCode.GOING_AWAY)
    except ConnectionError:
        return  # the connection is gone; whoever reads from it learns the same


def _is_utf8(data: bytes) -> bool:
    """Say whether a text message is text (RFC 6455, section 8.1)."""
    try:
        return data.isascii() or bool(data.decode())
    except UnicodeDecodeError:
        return False


def _offers_mcp(request: web.BaseRequest) -> bool:
    offered = ",".join(request.headers.getall("Sec-WebSocket-Protocol", []))
    return _SUBPROTOCOL in [one.strip() for one in offered.split(",")]
