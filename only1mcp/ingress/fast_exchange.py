"""Answers on a connection of the fast lane that are not written by the lane itself."""

import asyncio
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from only1mcp.ingress.http_exchange import KEEP_ALIVE_S, MAX_UNSENT_BYTES, RETRY_MS
from only1mcp.protocol import event_stream
from only1mcp.proxy.exchange import Answer

_STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
    b"Cache-Control: no-cache, no-transform\r\nX-Accel-Buffering: no\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)
_PING = b": ping\n\n"


class FastExchange:
    """Implements `only1mcp.proxy.exchange.Exchange`: JSON, or a stream once that is needed."""

    def __init__(self, front: Any, lane: Any) -> None:
        self._front = front
        self._lane = lane
        self._began = False
        self._ended = False
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(KEEP_ALIVE_S, self._ping)

    def open(self) -> None:
        """Begin the stream."""
        if not self._began:
            self._began = True
            self._front.write(_STREAM_HEAD)

    def send(self, message: bytes, event_id: str | None = None) -> None:
        """Send an event; a client that does not read is given up."""
        if message:
            self._event(event_stream.encode(message, event_id=event_id))
        else:
            self._event(b"id: %b\nretry: %d\ndata: \n\n" % ((event_id or "").encode(), RETRY_MS))

    def answer(self, answer: Answer, event_id: str | None = None) -> None:
        """Send the answer, and let the connection take the next request."""
        if self._ended:
            return
        if self._began:
            for body in answer.members or (answer.body,):
                self._event(event_stream.encode(body, event_id=event_id))
            self.end()
            return
        self._finish(whole(answer, closes=self._lane.draining))

    def end(self) -> None:
        """End the stream."""
        if not self._ended:
            self.open()
            self._finish(b"0\r\n\r\n")

    def _finish(self, data: bytes) -> None:
        self._ended = True
        self._timer.cancel()
        self._front.write(data)
        # The head of a stream has not said that the connection would close: it may serve another.
        self._front.done(not self._began)

    def _event(self, data: bytes) -> None:
        if self._ended:
            return
        self.open()
        transport = self._front.transport
        if transport is not None and transport.get_write_buffer_size() > MAX_UNSENT_BYTES:
            transport.abort()
            return
        self._front.write(b"%x\r\n%b\r\n" % (len(data), data))
        if self._front.paused:
            self._lane.helper.paused(self._front)

    def _ping(self) -> None:
        if not self._ended and self._front.transport is not None:
            self._event(_PING)
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(KEEP_ALIVE_S, self._ping)


def whole(answer: Answer, *, closes: bool) -> bytes:
    """Write an answer as one HTTP response."""
    fields: list[tuple[str, str]] = []
    if answer.body:
        fields.append(("Content-Type", "application/json"))
    if answer.session_id is not None:
        fields.append(("Mcp-Session-Id", answer.session_id))
    return response(answer.status, [*fields, *answer.headers], answer.body, closes=closes)


def response(status: int, fields: Iterable[tuple[str, str]], body: bytes, *, closes: bool) -> bytes:
    """Write an HTTP response; the length of its body ends the head."""
    head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
    for name, value in fields:
        head += f"{name}: {value}\r\n"
    if closes:
        head += "Connection: close\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
