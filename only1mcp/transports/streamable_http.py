"""One POST to a Streamable HTTP server and what it answers (basic/transports/streamable-http).

Knows HTTP and framing; sessions, eras and ids are `only1mcp.backends.http_session`'s.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import aiohttp

from only1mcp import __version__
from only1mcp._speedups import RESPONSE, Envelope, scan
from only1mcp.errors import (
    BackendLost,
    BackendProtocolError,
    BackendTimeout,
    BackendUnreachable,
    Only1MCPError,
)
from only1mcp.protocol.event_stream import Event, EventReader, EventTooLong
from only1mcp.transports.opening import why_unreached

MAX_MESSAGE_BYTES = 64 * 1024 * 1024
MAX_HEAD_BYTES = 64 * 1024
"""As much as the fast lane takes of a head."""
MAX_CONNECTIONS = 256
"""Open to one address at a time, from one process; the fast lane has as many for itself."""
CONNECT_S = 5.0
"""The longest that connecting may take: a host that swallows packets is not there."""
_CHUNK_BYTES = 64 * 1024
_RETRY_S = 1.0
_BASE_HEADERS = {
    "Content-Type": "application/json",
    "Accept": "application/json, text/event-stream",
    "Accept-Encoding": "identity",
    "User-Agent": f"only1mcp/{__version__}",
}
_STREAM_HEADERS = {"Accept": "text/event-stream"}
_NOT_CONNECTED = (
    aiohttp.ClientConnectorError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.InvalidURL,
)


@dataclass(slots=True)
class HttpAnswer:
    """What came back from one POST."""

    status: int
    session_id: str | None
    message: Envelope | None
    """The JSON-RPC response; None when the body held none."""
    refused: bool = False
    """Whether the server's transport answers, which has not read the request."""
    resume_from: str | None = None
    """The id of the last event of a stream that ended before its response."""
    retry_s: float = _RETRY_S
    """How long the server wants us to wait before we resume."""

    def note(self, event: Event) -> None:
        """Note where and when to resume after an event."""
        self.resume_from = event.id or self.resume_from
        if event.retry_ms is not None:
            self.retry_s = event.retry_ms / 1000


OnEvent = Callable[[Envelope], None]
"""Takes what stands on a stream before the response: notifications, and requests of the server."""


OnOpen = Callable[[], None]
"""Is told that a stream is there."""


Take = Callable[[Envelope], bool]
"""Takes a message that stands on a stream; True when nothing else on it is wanted."""


Read = Callable[[aiohttp.ClientResponse, HttpAnswer], Awaitable[None]]
"""Reads a body and notes what it holds."""


def nothing() -> None:
    """Do nothing: nobody waits for the stream."""


def nothing_said(message: Envelope) -> None:
    """Let a message pass that nobody waits for."""


def make_client() -> aiohttp.ClientSession:
    """Return a client whose connections live on between calls; call it on the loop."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            limit=0, limit_per_host=MAX_CONNECTIONS, keepalive_timeout=30
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=_bounds(None),
        headers=_BASE_HEADERS,
        auto_decompress=False,
        max_line_size=MAX_HEAD_BYTES,
        max_field_size=MAX_HEAD_BYTES,
    )


def _bounds(timeout_s: float | None) -> aiohttp.ClientTimeout:
    """Give connecting less time than the whole, or none could tell which of the two was over."""
    connect_s = CONNECT_S if timeout_s is None else min(CONNECT_S, 0.8 * timeout_s)
    return aiohttp.ClientTimeout(total=None, sock_connect=connect_s)


def _end_with_connection(response: aiohttp.ClientResponse) -> None:
    """Let a body break off when its connection has gone.

    aiohttp closes a connection on which a body breaks the rules of HTTP, and leaves who reads the
    body to wait for ever.
    """
    content, connection = response.content, response.connection
    protocol = None if connection is None else connection.protocol
    closed = None if protocol is None else protocol.closed
    if closed is None:
        return

    def end(closed: asyncio.Future[None]) -> None:
        cause = None if closed.cancelled() else closed.exception()
        if not content.is_eof() and content.exception() is None:
            content.set_exception(aiohttp.ClientPayloadError(str(cause or "it breaks the rules")))

    closed.add_done_callback(end)


class StreamableHttp:
    """The wire to one URL."""

    def __init__(
        self, client: aiohttp.ClientSession, name: str, url: str, headers: Mapping[str, str]
    ) -> None:
        self._client = client
        self._name = name
        self._url = url
        self._headers = dict(headers)

    async def post(
        self, body: bytes, headers: Mapping[str, str], timeout_s: float | None,
        on_event: OnEvent = nothing_said,
    ) -> HttpAnswer:  # fmt: skip
        """Send one message and read up to its response.

        Raises:
            BackendUnreachable: no connection; nothing was sent.
            BackendTimeout: no response in time.
            BackendLost: the connection ended first.
            BackendProtocolError: what came is not MCP.
        """
        return await self.ask("POST", body, headers, timeout_s, partial(self._read, on_event))

    async def get(
        self, headers: Mapping[str, str], on_event: OnEvent, on_open: OnOpen = nothing
    ) -> HttpAnswer:
        """Read a stream up to its end, or to a response that stands on it.

        Raises:
            BackendError: as for `post`.
        """
        wanted = {**_STREAM_HEADERS, **headers}
        return await self.ask("GET", None, wanted, None, partial(self._read, on_event), on_open)

    async def ask(
        self, verb: str, body: bytes | None, headers: Mapping[str, str],
        timeout_s: float | None, read: Read, on_open: OnOpen = nothing,
    ) -> HttpAnswer:  # fmt: skip
        """Send anything and have the answer read.

        Raises:
            BackendError: as for `post`.
        """
        with self._map_errors(timeout_s or 0.0):
            async with (
                asyncio.timeout(timeout_s),
                self._client.request(
                    verb, self._url, data=body, headers={**self._headers, **headers},
                    allow_redirects=False, timeout=_bounds(timeout_s),
                ) as response,
            ):  # fmt: skip
                answer = HttpAnswer(
                    response.status, response.headers.get("Mcp-Session-Id"), None,
                    resume_from=headers.get("Last-Event-ID"),
                )  # fmt: skip
                if response.status < 400:
                    on_open()
                _end_with_connection(response)
                await read(response, answer)
                return answer

    async def delete(self, headers: Mapping[str, str], timeout_s: float) -> None:
        """End a legacy session; a server that does not want to know is fine.

        Raises:
            BackendError: it was not there to hear of it.
        """
        with self._map_errors(timeout_s):
            async with asyncio.timeout(timeout_s):
                await (await self._client.delete(
                    self._url, headers={**self._headers, **headers}, allow_redirects=False,
                    timeout=_bounds(timeout_s),
                )).release()  # fmt: skip

    @contextlib.contextmanager
    def _map_errors(self, timeout_s: float) -> Iterator[None]:
        """Say in our own words how a request failed."""
        try:
            yield
        except _NOT_CONNECTED as error:
            raise BackendUnreachable(
                f"server {self._name} cannot be reached", detail=why_unreached(error)
            ) from error
        except TimeoutError:
            raise BackendTimeout(
                f"server {self._name} did not answer within {timeout_s:g} s"
            ) from None
        except aiohttp.ClientError as error:
            raise BackendLost(
                f"server {self._name} closed the connection during the call", detail=str(error)
            ) from error

    async def _read(
        self, on_event: OnEvent, response: aiohttp.ClientResponse, answer: HttpAnswer
    ) -> None:
        if response.status == 202:
            return
        if response.content_type == "text/event-stream":
            await self._read_events(response, answer, on_event)
        else:
            body = await read_body(self._name, response)
            answer.message = read_message(self._name, response.status, body)

    async def _read_events(
        self, response: aiohttp.ClientResponse, answer: HttpAnswer, on_event: OnEvent
    ) -> None:
        """Read the stream up to the response."""

        def take(message: Envelope) -> bool:
            if message.kind == RESPONSE:
                answer.message = message
            else:
                on_event(message)
            return answer.message is not None

        await read_events(self._name, response, answer, take)
        if answer.resume_from is None and answer.message is None and response.method != "GET":
            raise BackendLost(f"server {self._name} ended the stream without a response")


async def read_events(
    name: str, response: aiohttp.ClientResponse, answer: HttpAnswer, take: Take
) -> None:
    """Read a stream up to where no more is wanted; one that breaks off can be resumed, perhaps.

    Raises:
        BackendProtocolError: what comes cannot be read.
        aiohttp.ClientError: it broke off and said nothing of where to resume.
    """
    reader = EventReader(MAX_MESSAGE_BYTES)
    try:
        async for chunk in response.content.iter_any():
            for event in reader.feed(chunk):
                answer.note(event)
                message = _message_in(name, event)
                if message is not None and take(message):
                    return
    except EventTooLong as error:
        raise BackendProtocolError(f"server {name}: {error}") from None
    except aiohttp.ClientError:
        if answer.resume_from is None:
            raise


def _message_in(name: str, event: Event) -> Envelope | None:
    is_message = event.data and event.event == "message"
    return scan_message(name, event.data, ok=True) if is_message else None


async def read_body(name: str, response: aiohttp.ClientResponse) -> bytes:
    """Read a whole body.

    Raises:
        BackendProtocolError: it is larger than any message may be.
    """
    pieces = [await response.content.read(MAX_MESSAGE_BYTES + 1)]
    while not response.content.at_eof():
        pieces.append(await response.content.read(_CHUNK_BYTES))
        if sum(map(len, pieces)) > MAX_MESSAGE_BYTES:
            raise BackendProtocolError(
                f"server {name} answered with more than {MAX_MESSAGE_BYTES} bytes"
            )
    return b"".join(pieces)


def read_message(name: str, status: int, body: bytes) -> Envelope | None:
    """Read a whole body, where nothing but the response may stand.

    Raises:
        BackendProtocolError: something else does, and the status does not say why.
    """
    ok = status < 300
    if status == 202:
        return None
    message = scan_message(name, body, ok=ok)
    if message is None or message.kind == RESPONSE:
        return message
    if not ok:
        return None
    raise BackendProtocolError(
        f"server {name} answered with something that is no response", detail=repr(body[:200])
    )


def scan_message(name: str, body: bytes, *, ok: bool) -> Envelope | None:
    """Read a message; the body of an HTTP error need not be one.

    Raises:
        BackendProtocolError: it is none.
    """
    try:
        return scan(body)
    except Only1MCPError as error:
        if not ok or not body:
            return None
        raise BackendProtocolError(
            f"server {name} answered with something that is not JSON-RPC",
            detail=f"{error}: {body[:200]!r}",
        ) from error
