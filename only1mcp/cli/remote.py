"""An MCP endpoint at the other end of HTTP: its requests, its streams and its session."""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass

import aiohttp
import orjson

from only1mcp._speedups import BATCH, REQUEST, RESPONSE, Envelope, scan
from only1mcp.cli.tool_headers import ToolHeaders
from only1mcp.errors import BackendLost, BackendProtocolError, Only1MCPError
from only1mcp.protocol import jsonrpc
from only1mcp.protocol.event_stream import EventReader
from only1mcp.protocol.standard_headers import standard_headers

MAX_MESSAGE_BYTES = 64 * 1024 * 1024
RETRY_S, MAX_RETRY_S = 1.0, 30.0
CONNECT_S = 10.0
_END_S = 2.0
_NO_STREAM = (404, 405)
"""The session has ended; there are no such streams."""
_ACCEPTED = 202
_EVENTS = "text/event-stream"
_SENT = {"Content-Type": "application/json", "Accept": f"application/json, {_EVENTS}"}
Deliver = Callable[[bytes], None]
_Opening = contextlib.AbstractAsyncContextManager[aiohttp.ClientResponse]


@dataclass(slots=True)
class _Position:
    """How far a stream has been read."""

    last_event_id: str | None = None
    retry_s: float = RETRY_S


class Remote:
    """One client's view of an endpoint, for the time of an `async with` block.

    Args:
        url: the endpoint.
        key: sent with every request; None for none.
    """

    def __init__(self, url: str, key: str | None = None) -> None:
        self.url = url
        trace = aiohttp.TraceConfig()
        trace.on_request_chunk_sent.append(_tell_sent)
        self._client = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S),
            trace_configs=[trace],
            headers={} if key is None else {"Authorization": f"Bearer {key}"},
        )  # fmt: skip
        self._session: str | None = None
        self._version: str | None = None
        self._tools = ToolHeaders()

    async def __aenter__(self) -> "Remote":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()

    @property
    def has_session(self) -> bool:
        """Whether a legacy session is open."""
        return self._session is not None

    async def post(
        self, message: Envelope, deliver: Deliver, on_sent: Callable[[], None] = lambda: None
    ) -> None:
        """Send a message; deliver what comes back, up to the answer if it is a request.

        All that answers a batch is delivered; whoever sent it knows what is missing.

        Raises:
            BackendLost: the stream ended before the answer.
            BackendProtocolError: what came back is no message.
            aiohttp.ClientError: the endpoint cannot be reached, or the connection broke.
        """
        answer = await self._attempt(message, deliver, on_sent)
        if answer is None:
            return
        if self._tools.is_lack(message, answer) and await self._tools.learn(message, self._ask):
            answer = await self._attempt(message, deliver, on_sent) or b""
        if message.method == "initialize":
            said = (orjson.loads(answer).get("result") or {}).get("protocolVersion")
            self._version = said if isinstance(said, str) else None
        deliver(answer)

    async def follow(self, deliver: Deliver, on_tried: Callable[[], None]) -> None:
        """Deliver what the session hears beside its requests, as long as there is such a stream.

        Args:
            deliver: takes each message.
            on_tried: told whenever the stream is open, or cannot be opened now.
        """
        position, failures = _Position(), 0
        while True:
            with contextlib.suppress(aiohttp.ClientError, OSError):
                async with self._open(position) as response:
                    on_tried()
                    if _is_stream(response):
                        failures = 0
                        await self._read(response, position, None, deliver)
                    elif response.status in _NO_STREAM:
                        return
                    elif position.last_event_id is not None:
                        position.last_event_id = None  # the stream that it names is gone
                        continue
                    elif response.status < 500:
                        return
            on_tried()
            await asyncio.sleep(min(position.retry_s * 2**failures, MAX_RETRY_S))
            failures = min(failures + 1, 10)

    async def end_session(self) -> None:
        """End the session, if there is one."""
        if self._session is None:
            return
        with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
            async with (
                asyncio.timeout(_END_S),
                self._client.delete(self.url, headers=self._session_headers()),
            ):
                pass
        self._session = self._version = None

    async def _attempt(
        self, message: Envelope, deliver: Deliver, on_sent: Callable[[], None]
    ) -> bytes | None:
        """Send a message and return its answer; None if it has none."""
        position = _Position()
        async with self._client.post(
            self.url, data=message.body, headers=self._headers(message), trace_request_ctx=on_sent
        ) as response:
            if message.method == "initialize":
                self._session = response.headers.get("Mcp-Session-Id")
            if not _is_stream(response):
                body = await response.read()
                is_answered = message.kind in (REQUEST, BATCH) and response.status != _ACCEPTED
                return _whole(message, response.status, body) if is_answered else None
            if message.kind == BATCH:
                await self._read(response, position, None, deliver)
                return None
            answer = await self._read(response, position, message, deliver)
        return answer or await self._resume(message, position, deliver)

    async def _resume(self, message: Envelope, position: _Position, deliver: Deliver) -> bytes:
        """Go on with a stream that ended before the answer (2025-11-25, Resumability)."""
        while position.last_event_id is not None:
            await asyncio.sleep(position.retry_s)
            async with self._open(position) as response:
                if not _is_stream(response):
                    break
                answer = await self._read(response, position, message, deliver)
                if answer is not None:
                    return answer
        raise BackendLost(f"{self.url} ended the stream before the answer")

    async def _read(
        self, response: aiohttp.ClientResponse, position: _Position, request: Envelope | None,
        deliver: Deliver,
    ) -> bytes | None:  # fmt: skip
        """Deliver what a stream brings, and return the answer to the request once it comes."""
        reader = EventReader(MAX_MESSAGE_BYTES)
        try:
            async for chunk in response.content.iter_any():
                for event in reader.feed(chunk):
                    position.last_event_id = event.id or position.last_event_id
                    if event.retry_ms is not None:
                        position.retry_s = event.retry_ms / 1000
                    if event.data and request is not None and _answers(request, event.data):
                        return event.data
                    if event.data:
                        deliver(event.data)
        except aiohttp.ClientError:
            if position.last_event_id is None:  # else it can be read on
                raise
        return None

    async def _ask(self, request: bytes) -> Envelope:
        """Send a request of our own."""
        answer = await self._attempt(scan(request), lambda _: None, lambda: None)
        return scan(answer or b"{}")

    def _open(self, position: _Position) -> _Opening:
        headers = {"Accept": _EVENTS, **self._session_headers()}
        if position.last_event_id is not None:
            headers["Last-Event-ID"] = position.last_event_id
        return self._client.get(self.url, headers=headers)

    def _headers(self, message: Envelope) -> dict[str, str]:
        if message.version is None:
            opens = message.method == "initialize"
            return dict(_SENT) if opens else {**_SENT, **self._session_headers()}
        said = standard_headers(message)
        headers = {"MCP-Protocol-Version": said.version, "Mcp-Method": said.method,
                   "Mcp-Name": said.name}  # fmt: skip
        present = {name: value for name, value in headers.items() if value is not None}
        return {**_SENT, **present, **self._tools.emit(message)}

    def _session_headers(self) -> dict[str, str]:
        headers = {"Mcp-Session-Id": self._session, "MCP-Protocol-Version": self._version}
        return {name: value for name, value in headers.items() if value is not None}


async def _tell_sent(
    session: aiohttp.ClientSession, context: object, params: aiohttp.TraceRequestChunkSentParams
) -> None:
    """Tell whoever sent a request that it has left."""
    del session, params
    on_sent = getattr(context, "trace_request_ctx", None)
    if on_sent is not None:
        on_sent()


def _is_stream(response: aiohttp.ClientResponse) -> bool:
    return response.status == 200 and response.content_type == _EVENTS


def _answers(request: Envelope, message: bytes) -> bool:
    try:
        reply = scan(message)
    except Only1MCPError:
        return False
    return reply.kind == RESPONSE and reply.id == request.id


def _whole(request: Envelope, status: int, body: bytes) -> bytes:
    """Return the body if it answers the request, else the error that it stands for."""
    try:
        reply = scan(body)
    except Only1MCPError:
        raise BackendProtocolError(f"the gateway answered HTTP {status} and no message") from None
    if reply.error_end and reply.id in (None, b"null"):  # refused before anybody read the id
        return jsonrpc.error(request.id, body[reply.error_start : reply.error_end])
    return body
