"""The stream of the HTTP+SSE transport, and the address that it begins with."""

import contextlib
from collections import deque
from collections.abc import Mapping

import aiohttp
from yarl import URL

from only1mcp.errors import BackendProtocolError
from only1mcp.protocol.event_stream import Event, EventReader, EventTooLong
from only1mcp.transports.channel import MAX_MESSAGE_BYTES
from only1mcp.transports.opening import refusal


class SseStream:
    """The events of a response, one after the other."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self._reader = EventReader(MAX_MESSAGE_BYTES)
        self._events: deque[Event] = deque()

    async def next(self) -> Event | None:
        """Return the next event; None at the end.

        Raises:
            EventTooLong: it has no end in sight.
            ClientError: the connection broke off.
        """
        while not self._events:
            chunk = await self._response.content.readany()
            if not chunk:
                return None
            self._events.extend(self._reader.feed(chunk))
        return self._events.popleft()

    def close(self) -> None:
        """Let the connection go."""
        self._response.close()


async def open_stream(
    client: aiohttp.ClientSession, name: str, url: str, headers: Mapping[str, str]
) -> tuple[SseStream, URL]:
    """Ask for the stream and read it up to the address to post to.

    Raises:
        BackendUnreachable: the server refuses us.
        BackendProtocolError: what answers is not a server of this transport.
        aiohttp.ClientError: no connection, or it broke off.
    """
    response = await client.get(
        url, headers={**headers, "Accept": "text/event-stream"}, allow_redirects=False,
        timeout=aiohttp.ClientTimeout(total=None),
    )  # fmt: skip
    try:
        stream = _stream_of(name, response)
        return stream, await _read_endpoint(name, stream, URL(url))
    except BaseException:
        response.close()
        raise


def _stream_of(name: str, response: aiohttp.ClientResponse) -> SseStream:
    if response.status != 200:
        raise refusal(name, response.status)
    if response.content_type != "text/event-stream":
        raise BackendProtocolError(
            f"server {name} answers with {response.content_type[:50]}, not with an event stream",
            hint="check the server's url and transport in the configuration",
        )
    return SseStream(response)


async def _read_endpoint(name: str, stream: SseStream, url: URL) -> URL:
    """Read the stream up to the address to post to, which must lie at the same origin."""
    try:
        event = await stream.next()
        while event is not None and event.event not in ("endpoint", "message"):
            event = await stream.next()
    except EventTooLong as error:
        raise BackendProtocolError(f"server {name}: {error}") from None
    if event is None or event.event == "message":
        raise BackendProtocolError(
            f"server {name} did not say where to post to",
            hint="check the server's url and transport in the configuration",
        )
    return _resolve(name, event.data.decode(errors="replace").strip(), url)


def _resolve(name: str, text: str, url: URL) -> URL:
    """Return the address that a text means at `url`; the credentials in it are ours, if any."""
    is_encoded = text.isascii() and text.isprintable() and " " not in text
    with contextlib.suppress(ValueError):
        endpoint = url.join(URL(text, encoded=is_encoded))  # a signature in it needs every byte
        if _origin(endpoint) == _origin(url):
            return endpoint.with_user(url.user).with_password(url.password)
    raise BackendProtocolError(
        f"server {name} wants messages posted to another origin: {text[:200]!r}"
    )


def _origin(url: URL) -> tuple[str, str, int | None]:
    return url.scheme.lower(), (url.raw_host or "").lower(), url.port
