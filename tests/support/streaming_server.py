"""An MCP server over HTTP whose answers are streams that the test plays event by event."""

import asyncio
import json
from typing import Any

from aiohttp import web

from tests.support.loop import eventually
from tests.support.scripted_server import ScriptedServer


class Played:
    """One stream; what the test queues is sent, None ends it."""

    def __init__(self, message: dict[str, Any], headers: dict[str, str]) -> None:
        self.message = message
        """What it answers; nothing if it was opened by GET."""
        self.headers = headers
        self.gone = False
        """Whether the client left before the end."""
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue()

    def say(self, message: dict[str, Any] | None, event_id: str = "", retry_ms: int = 0) -> None:
        """Send an event; without a message it carries only its id."""
        head = f"id: {event_id}\n" if event_id else ""
        head += f"retry: {retry_ms}\n" if retry_ms else ""
        data = "" if message is None else json.dumps({"jsonrpc": "2.0", **message})
        self._queue.put_nowait(f"{head}data: {data}\n\n".encode())

    def answer(self, result: dict[str, Any]) -> None:
        """Send the response and end."""
        self.say({"id": self.message["id"], "result": result})
        self.end()

    def end(self) -> None:
        """End the stream."""
        self._queue.put_nowait(None)

    async def play(self, request: web.BaseRequest) -> web.StreamResponse:
        """Send what comes."""
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        try:
            while (data := await self._queue.get()) is not None:
                await response.write(data)
        except (asyncio.CancelledError, ConnectionError):
            self.gone = True
            raise
        return response


class StreamingServer(ScriptedServer):
    """Answers `tools/call`, `subscriptions/listen` and GET by streams."""

    def __init__(self, *, modern: bool = False) -> None:
        super().__init__(modern=modern, legacy=not modern)
        self.streams: list[Played] = []
        self.posted: list[dict[str, Any]] = []
        """Every message that was posted."""
        self.streamed = {"tools/call", "subscriptions/listen"}
        """The methods that are answered by streams."""
        self.get_status = 200
        """What GET is answered."""

    async def stream(self, count: int = 1) -> Played:
        """Wait until so many streams were opened; return the last."""
        await eventually(lambda: len(self.streams) >= count, f"{count} streams")
        return self.streams[count - 1]

    async def was_posted(self, fits: str) -> dict[str, Any]:
        """Wait for a message whose JSON contains this; return it."""
        await eventually(lambda: any(fits in json.dumps(one) for one in self.posted), fits)
        return next(one for one in self.posted if fits in json.dumps(one))

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one HTTP request."""
        body = await request.read()
        message: dict[str, Any] = json.loads(body) if body else {}
        headers = {key.lower(): value for key, value in request.headers.items()}
        if body:
            self.posted.append(message)
        is_get = request.method == "GET"
        if is_get and self.get_status != 200:
            return web.Response(status=self.get_status)
        if is_get or message.get("method") in self.streamed:
            played = Played(message, headers)
            self.streams.append(played)
            return await played.play(request)
        if body and "method" not in message:
            return web.Response(status=202)
        return await super().handle(request)
