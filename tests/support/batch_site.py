"""A legacy server over HTTP that takes batches; a test may say otherwise."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from tests.support.http_site import http_site

Plain = dict[str, Any]
Answer = Callable[[web.BaseRequest, list[Plain]], Awaitable[web.StreamResponse]]


class BatchSite:
    """Answers each request with its own parameters, and each batch with one array, last one first.

    Args:
        version: the revision that it speaks.
    """

    def __init__(self, version: str = "2025-03-26") -> None:
        self.version = version
        self.posts: list[Any] = []
        """What was posted besides the handshake, parsed; each is one round trip."""
        self.answer: Answer = in_one_array
        """Answers batches."""
        self.streams: list[str] = []
        """The events from which a stream was to go on."""
        self.resume: Answer = in_one_array
        """Goes on with a stream."""
        self.sessions: set[str] = set()
        self.forgotten_status = 404
        self.opened = 0

    @asynccontextmanager
    async def open(self) -> AsyncIterator[str]:
        """Serve; yields the address."""
        async with http_site(self._handle) as url:
            yield url

    @property
    def batches(self) -> list[list[Plain]]:
        """The batches among the posts."""
        return [post for post in self.posts if isinstance(post, list)]

    @property
    def cancelled(self) -> list[int]:
        """The ids of requests that were cancelled."""
        said = [post for post in self.posts if isinstance(post, dict)]
        return [one["params"]["requestId"] for one in said if "cancelled" in one["method"]]

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.method == "GET":
            self.streams.append(request.headers["Last-Event-ID"])
            return await self.resume(request, self.batches[-1])
        body = await request.read()
        message: Any = json.loads(body) if body else {"method": "DELETE"}
        if isinstance(message, dict) and message.get("method") == "initialize":
            return self._greet(message)
        if isinstance(message, dict) and message["method"] in (
            "notifications/initialized",
            "DELETE",
        ):
            return web.Response(status=202)
        self.posts.append(message)
        if request.headers.get("Mcp-Session-Id") not in self.sessions:
            return refusal(-32000, self.forgotten_status)
        if isinstance(message, list):
            return await self.answer(request, message)
        return (
            web.json_response(answer_to(message)) if "id" in message else web.Response(status=202)
        )

    def _greet(self, message: Plain) -> web.Response:
        self.opened += 1
        session = f"s{self.opened}"
        self.sessions.add(session)
        result = {"protocolVersion": self.version, "capabilities": {}, "serverInfo": {}}
        body = {"jsonrpc": "2.0", "id": message["id"], "result": result}
        return web.json_response(body, headers={"Mcp-Session-Id": session})


def answer_to(request: Plain) -> Plain:
    """Return the answer to a request."""
    return {"jsonrpc": "2.0", "id": request["id"], "result": {"said": request["params"]}}


async def in_one_array(request: web.BaseRequest, batch: list[Plain]) -> web.StreamResponse:
    """Answer all in one array."""
    del request
    return web.json_response([answer_to(one) for one in reversed(batch)])


def always(response: Callable[[], web.Response]) -> Answer:
    """Answer each batch in the same way."""

    async def answer(request: web.BaseRequest, batch: list[Plain]) -> web.StreamResponse:
        del request, batch
        return response()

    return answer


def refusal(code: int, status: int) -> web.Response:
    """Return an error that answers no request."""
    body = {"jsonrpc": "2.0", "id": None, "error": {"code": code, "message": "no"}}
    return web.json_response(body, status=status)


async def stream(
    request: web.BaseRequest, *events: object, event_id: str = ""
) -> web.StreamResponse:
    """Answer with a stream of messages, or arrays of them, and end it."""
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    for event in events:
        head = f"id: {event_id}\nretry: 1\n" if event_id else ""
        await response.write(f"{head}data: {json.dumps(event)}\n\n".encode())
    await response.write_eof()
    return response
