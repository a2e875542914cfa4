"""How a client's messages travel over Streamable HTTP, in either era."""

import asyncio
import contextlib
from collections.abc import Mapping

import aiohttp

from only1mcp.protocol.event_stream import EventReader
from only1mcp.protocol.headers import encode_value
from only1mcp.tasks import Tasks
from tests.matrix.carriers import LIMIT, Receiver
from tests.matrix.sides import MODERN, Plain
from tests.support.matrix.http import NAMED


class HttpCarrier:
    """Opens a connection for each message, so that they reach all workers.

    Args:
        url: the endpoint.
        revision: what the client speaks.
    """

    has_streams = True

    def __init__(self, url: str, revision: str) -> None:
        self.session: str | None = None
        self.last_event: dict[object, str] = {}
        """The id of the last event on the stream of each request; None names the session's own."""
        self._url = url
        self._revision = revision
        self._client: aiohttp.ClientSession | None = None
        self._receiver: Receiver | None = None
        self._tasks = Tasks()
        self._posts: dict[object, asyncio.Task[None]] = {}

    async def open(self, receiver: Receiver) -> None:
        """Get ready; there is no connection yet."""
        self._receiver = receiver
        self._client = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, force_close=True),
            timeout=aiohttp.ClientTimeout(total=None),
        )

    async def send(self, message: Plain, raw: str, headers: Mapping[str, str]) -> int:
        """Post a message; the answer to a request comes when it comes."""
        headers = {**self._headers(message), **headers}
        if "id" in message and "method" in message:
            task = self._tasks.spawn(self._post(message, raw, headers))
            self._posts[message["id"]] = task
            return 0
        assert self._client is not None
        async with self._client.post(self._url, data=raw.encode(), headers=headers) as response:
            return response.status

    def send_batch(self, raw: str) -> None:
        """Post a batch; each answer comes when it comes."""
        self._tasks.spawn(self._post_batch(raw))

    async def _post_batch(self, raw: str) -> None:
        assert self._client is not None
        post = self._client.post(self._url, data=raw.encode(), headers=self._headers({}))
        async with post as response:
            await self._read(response, None)

    async def _post(self, message: Plain, raw: str, headers: Mapping[str, str]) -> None:
        assert self._client is not None
        post = self._client.post(self._url, data=raw.encode(), headers=headers)
        with contextlib.suppress(aiohttp.ClientError):
            async with post as response:
                if message["method"] == "initialize":
                    self.session = response.headers.get("Mcp-Session-Id")
                await self._read(response, message["id"])

    async def _read(self, response: aiohttp.ClientResponse, stream: object) -> None:
        """Pass on what comes; `stream` is the request's id."""
        assert self._receiver is not None
        if response.content_type != "text/event-stream":
            self._receiver.take((await response.read()).decode(), stream, response.status)
            return
        reader = EventReader(LIMIT)
        async for chunk in response.content.iter_any():
            for event in reader.feed(chunk):
                if event.id:
                    self.last_event[stream] = event.id
                if event.data:
                    self._receiver.take(event.data.decode(), stream, response.status)

    def _headers(self, message: Plain) -> dict[str, str]:
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
            "Authorization": "Bearer the-clients-own", "Cookie": "the=clients",
        }  # fmt: skip
        method = message.get("method", "")
        if self._revision == MODERN:
            headers |= {"MCP-Protocol-Version": MODERN, "Mcp-Method": method}
            if method in NAMED:
                headers["Mcp-Name"] = encode_value(message["params"][NAMED[method]])
        elif self.session is not None:
            headers |= {"Mcp-Session-Id": self.session}
            if self._revision >= "2025-06-18":
                headers["MCP-Protocol-Version"] = self._revision
        return headers

    async def listen(self) -> None:
        """Open the stream of the session."""
        await self.resume(None)

    async def resume(self, stream: object, seen: str | None = None) -> int:
        """Open a stream with GET, the session's own or one that broke; returns the status."""
        assert self._client is not None
        headers = {**self._headers({}), "Accept": "text/event-stream"}
        if seen is not None:
            headers["Last-Event-ID"] = seen
        response = await self._client.get(self._url, headers=headers)
        self._tasks.spawn(self._follow(response, stream))
        return response.status

    async def _follow(self, response: aiohttp.ClientResponse, stream: object) -> None:
        with contextlib.suppress(aiohttp.ClientError):
            async with response:
                await self._read(response, stream)

    async def end_session(self) -> int:
        """End the session; returns the status."""
        assert self._client is not None
        async with self._client.delete(self._url, headers=self._headers({})) as response:
            return response.status

    async def hang_up(self, request_id: object) -> None:
        """Close the stream of a request."""
        task = self._posts.pop(request_id)
        task.cancel()
        await asyncio.wait({task})

    async def close(self) -> None:
        """End the session and all connections."""
        if self.session is not None:
            await self.end_session()
        await self.vanish()

    async def vanish(self) -> None:
        """Close all connections."""
        await self._tasks.cancel_all()
        if self._client is not None:
            await self._client.close()
