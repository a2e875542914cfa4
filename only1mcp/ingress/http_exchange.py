"""One HTTP response: a JSON body, or a stream of events once anything comes before the answer."""

import asyncio
from collections import deque
from dataclasses import dataclass

from aiohttp import web

from only1mcp.backends.call import Cancel
from only1mcp.ingress.cors import GRANTED
from only1mcp.ingress.held import Held, Unsent
from only1mcp.protocol import event_stream
from only1mcp.proxy.exchange import Answer

KEEP_ALIVE_S = 15.0
"""How long a client hears nothing at most; proxies in between give up on silence."""
MAX_UNSENT_BYTES = 4 * 1024 * 1024
RETRY_MS = 1000
_COMMENT = b": ping\n\n"
_HEADERS = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-cache, no-transform",
    "X-Accel-Buffering": "no",
}


@dataclass(frozen=True, slots=True)
class _End:
    """The last thing on a stream."""

    answer: Answer | None
    event_id: str | None


class HttpExchange:
    """Implements `only1mcp.proxy.exchange.Exchange` for one aiohttp request."""

    def __init__(self, max_unsent: int = MAX_UNSENT_BYTES, held: Held | None = None) -> None:
        self._max_unsent = max_unsent
        self._items: deque[bytes | _End] = deque()
        self._size = 0
        """How many bytes are queued."""
        self._unsent = Unsent(held or Held(), lambda: self._size, self._overflow)
        self._wake = asyncio.Event()
        self._overrun = False
        self.is_broken = False
        """Whether the client went, or was given up, while its stream was being written."""
        self._transport: asyncio.Transport | None = None

    def open(self) -> None:
        """Begin the stream now."""
        self._put(b"")

    def send(self, message: bytes, event_id: str | None = None) -> None:
        """Queue a message; a client that does not read is given up."""
        if not message:
            self._put(b"id: %b\nretry: %d\ndata: \n\n" % ((event_id or "").encode(), RETRY_MS))
        else:
            self._put(event_stream.encode(message, event_id=event_id))

    def tell(self, event: str, data: bytes) -> None:
        """Queue an event of another kind than messages are."""
        self._put(event_stream.encode(data, event=event))

    def answer(self, answer: Answer, event_id: str | None = None) -> None:
        """Queue the answer."""
        self._items.append(_End(answer, event_id))
        self._wake.set()

    def end(self) -> None:
        """Queue the end."""
        self._items.append(_End(None, None))
        self._wake.set()

    def _put(self, data: bytes) -> None:
        if self._overrun:
            return
        if self._size > self._max_unsent:
            self._overflow()
        else:
            self._size += len(data)
            self._items.append(data)
            self._unsent.added()
        self._wake.set()

    def _overflow(self) -> None:
        """Take no more for a client that does not read."""
        self._overrun = True
        self._abort()
        self._wake.set()

    def _abort(self) -> None:
        """Give the client up: what is being written to it may wait for ever."""
        if self._transport is not None:
            self._transport.abort()

    async def respond(self, request: web.BaseRequest) -> web.StreamResponse:
        """Send what comes, up to its end."""
        self._transport = request.transport
        try:
            return await self._respond(request)
        finally:
            self._unsent.end()

    async def _respond(self, request: web.BaseRequest) -> web.StreamResponse:
        await self._next()
        first = self._items[0] if self._items else None
        if isinstance(first, _End):
            return _whole(first.answer)
        response = web.StreamResponse(headers={**_HEADERS, **request.get(GRANTED, {})})
        try:
            await response.prepare(request)
            while not await self._flush(response):
                if self._overrun:
                    self._abort()
                    self.is_broken = True
                    return response
                await self._next()
            await response.write_eof()
        except ConnectionError:  # raised on, aiohttp would log it as a mistake of ours
            self.is_broken = True
        return response

    async def _next(self) -> None:
        """Wait until there is something to send, or it is time for a sign of life."""
        if self._items or self._overrun:
            return
        self._wake.clear()
        try:
            async with asyncio.timeout(KEEP_ALIVE_S):
                await self._wake.wait()
        except TimeoutError:
            self._put(_COMMENT)

    async def _flush(self, response: web.StreamResponse) -> bool:
        """Write all that is queued, waiting for a slow reader; says whether that was the end."""
        while self._items and not self._overrun:
            item = self._items.popleft()
            if isinstance(item, _End):
                if item.answer is not None:
                    for body in item.answer.members or (item.answer.body,):
                        event = event_stream.encode(body, event_id=item.event_id)
                        await response.write(event)
                return True
            self._size -= len(item)
            self._unsent.sent()
            if item:
                await response.write(item)
        return False


async def respond(
    request: web.BaseRequest, exchange: HttpExchange, cancel: Cancel
) -> web.StreamResponse:
    """Send what the exchange gets; whoever is behind it hears of a client that goes first."""
    try:
        response = await exchange.respond(request)
    except BaseException:
        cancel()
        raise
    if exchange.is_broken:
        cancel()
    return response


def _whole(answer: Answer | None) -> web.Response:
    if answer is None or not answer.body:
        return web.Response(status=202 if answer is None else answer.status)
    headers = {"Content-Type": "application/json", **dict(answer.headers)}
    if answer.session_id is not None:
        headers["Mcp-Session-Id"] = answer.session_id
    return web.Response(status=answer.status, body=answer.body, headers=headers)
