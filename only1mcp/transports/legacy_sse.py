"""The HTTP+SSE transport of 2024-11-05: a stream for what comes, a POST for each message that goes.

The stream begins with the address to post to. A response comes on the stream, not with the POST;
that is answered when the message was taken, and by some servers only when its call is done.
"""

import asyncio
import contextlib
import io
import logging
from collections.abc import Mapping

import aiohttp
from yarl import URL

from only1mcp._speedups import NOTIFICATION, REQUEST, Envelope, scan
from only1mcp.errors import BackendError, BackendLost, BackendProtocolError
from only1mcp.protocol import jsonrpc
from only1mcp.protocol.event_stream import EventTooLong
from only1mcp.transports.channel import MAX_MESSAGE_BYTES, ChannelObserver
from only1mcp.transports.opening import opening
from only1mcp.transports.remote_channel import RemoteChannel
from only1mcp.transports.sse_stream import SseStream, open_stream

_log = logging.getLogger(__name__)
POST_S = 300.0
"""How long a server may take to answer a POST."""
SETTLE_S = 1.0
"""After so long a message has surely arrived, whatever became of its POST."""
_TAKEN = (200, 202, 204)
_GONE = (401, 404, 410)
"""These do not depend on the message: no other would fare better."""
_CANCELLED = "notifications/cancelled"
_ANSWER_BYTES = 64 * 1024


class LegacySseChannel(RemoteChannel):
    """One stream and the POSTs that belong to it."""

    def __init__(
        self, name: str, stream: SseStream, mailbox: "_Mailbox", observer: ChannelObserver
    ) -> None:
        super().__init__(observer)
        self._name = name
        self._stream = stream
        self._mailbox = mailbox
        self._posts: set[asyncio.Task[None]] = set()

    @classmethod
    async def open(
        cls, client: aiohttp.ClientSession, name: str, url: str, headers: Mapping[str, str],
        timeout_s: float, observer: ChannelObserver,
    ) -> "LegacySseChannel":  # fmt: skip
        """Open the stream and learn where to post.

        Raises:
            BackendUnreachable: no connection, or no credentials that the server accepts.
            BackendProtocolError: what answers is not a server of this transport.
        """
        async with opening(name, timeout_s):
            stream, endpoint = await open_stream(client, name, url, headers)
        mailbox = _Mailbox(client, endpoint, headers, timeout_s)
        channel = cls(name, stream, mailbox, observer)
        channel._begin()
        return channel

    async def _receive(self) -> str:
        try:
            while (event := await self._stream.next()) is not None:
                if event.event == "message" and event.data:
                    self._observer.on_line(event.data)
        except EventTooLong:
            return f"sent an event of more than {MAX_MESSAGE_BYTES} bytes"
        except aiohttp.ClientError:
            return "broke off the event stream"
        return "ended the event stream"

    async def _send(self) -> None:
        """Post in order; requests side by side, as a server may hold each POST till its call ends.

        A notification, `notifications/initialized` above all, overtakes nothing and is overtaken by
        nothing. Only a cancellation does not wait for the POST of the call that it is to end.
        """
        while (message := await self._outbox.get()) is not None:
            envelope = scan(message)
            alone = envelope.kind == NOTIFICATION and envelope.method != _CANCELLED
            if alone:
                await self._settle(SETTLE_S)
            post = self._tasks.spawn(self._post(message, envelope))
            self._posts.add(post)
            post.add_done_callback(self._posts.discard)
            if alone:
                await self._settle(SETTLE_S)
        await self._settle(None)
        self._end("was disconnected")

    async def _settle(self, patience_s: float | None) -> None:
        if self._posts:
            await asyncio.wait(self._posts, timeout=patience_s)

    async def _post(self, message: bytes, envelope: Envelope) -> None:
        try:
            self._judge(await self._mailbox.post(message), envelope)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
            self._end("can no longer be reached")
        except (aiohttp.ClientError, TimeoutError) as error:
            await asyncio.sleep(SETTLE_S)  # for the response that may come, or the stream's end
            lost = BackendLost(f"server {self._name} did not answer the POST", detail=repr(error))
            self._fail(envelope, lost)
        finally:
            self._outbox.sent(message)

    def _judge(self, status: int, envelope: Envelope) -> None:
        """Act on a status: a refusal ends what it is about, the message or the session."""
        if status in _TAKEN:
            return
        if status in _GONE:
            self._end(f"refused our session (HTTP {status})")
            return
        kind = BackendLost if status >= 500 else BackendProtocolError  # from 500 on it may have run
        self._fail(envelope, kind(f"server {self._name} refused a message (HTTP {status})"))

    def _fail(self, envelope: Envelope, error: BackendError) -> None:
        """Answer a request in the server's place: no response to it will come on the stream."""
        if envelope.kind == REQUEST:
            self._observer.on_line(jsonrpc.error_from(envelope.id, error))
        else:
            _log.warning(
                "%s: %s", envelope.method or "a response", error,
                extra={"server": self._name, "detail": error.detail},
            )  # fmt: skip

    async def _hang_up(self) -> None:
        self._stream.close()


class _Mailbox:
    """The address that takes our messages."""

    def __init__(
        self, client: aiohttp.ClientSession, endpoint: URL, headers: Mapping[str, str],
        timeout_s: float,
    ) -> None:  # fmt: skip
        self._client = client
        self._endpoint = endpoint
        self._headers = {**headers, "Content-Type": "application/json"}
        self._timeout = aiohttp.ClientTimeout(total=POST_S, sock_connect=timeout_s)

    async def post(self, message: bytes) -> int:
        """Post a message; return the HTTP status."""
        async with self._client.post(
            self._endpoint, data=io.BytesIO(message), headers=self._headers,
            allow_redirects=False, timeout=self._timeout,
        ) as response:  # fmt: skip
            if response.status in _TAKEN:
                # Of no interest, but a connection can only be used again when all of it was read.
                with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                    await response.content.read(_ANSWER_BYTES)
            return response.status
