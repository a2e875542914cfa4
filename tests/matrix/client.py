"""A raw client with the same face in both eras and on all transports."""

import asyncio
import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from only1mcp._speedups import elements
from tests.matrix.carriers import Carrier
from tests.matrix.sides import MODERN, Front, Plain
from tests.support.loop import eventually
from tests.support.matrix.exotic import write

OWN = "io.modelcontextprotocol/"


@dataclass(frozen=True)
class Heard:
    """A message that came in."""

    message: Plain
    raw: str
    stream: object = None
    """The id of the request on whose stream it came."""

    @property
    def method(self) -> str:
        """Its method."""
        return str(self.message.get("method", ""))

    @property
    def params(self) -> Plain:
        """Its parameters."""
        params: Plain = self.message.get("params", {})
        return params


@dataclass(frozen=True)
class Reply:
    """The answer to a request."""

    message: Plain
    raw: str
    status: int

    @property
    def result(self) -> Plain:
        """The result, which there must be."""
        assert "result" in self.message, self.raw
        result: Plain = self.message["result"]
        return result

    @property
    def error(self) -> Plain:
        """The error, which there must be."""
        assert "error" in self.message, self.raw
        error: Plain = self.message["error"]
        return error

    @property
    def said(self) -> Any:
        """What a tool of the matrix server said, parsed."""
        assert not self.result.get("isError"), self.raw
        return json.loads(self.result["content"][0]["text"])


class Client:
    """One client.

    Args:
        front: what kind it is.
        carrier: its connection.
        capabilities: what it declares.
        tag: what tells its answers from those of others.
    """

    def __init__(self, front: Front, carrier: Carrier, capabilities: Plain, tag: str) -> None:
        self.front = front
        self.carrier = carrier
        self.capabilities = capabilities
        self.tag = tag
        self.heard: list[Heard] = []
        """Notifications, in order."""
        self.asked: list[Heard] = []
        """Questions, in order."""
        self.answers: dict[str, Plain] = {}
        """By words: how questions are answered that hold one, otherwise than as usual."""
        self.silent_about: set[str] = set()
        """Words; questions that hold one of them are not answered."""
        self.greeting: Plain = {}
        self._ids = itertools.count(1)
        self._pending: dict[str, asyncio.Future[Reply]] = {}
        self._answering: set[asyncio.Task[Any]] = set()

    async def open(self) -> None:
        """Connect and greet."""
        await self.carrier.open(self)
        if self.front.is_modern:
            self.greeting = (await self.request("server/discover")).result
            return
        hello = {"protocolVersion": self.front.revision, "capabilities": self.capabilities,
                 "clientInfo": {"name": self.tag, "version": "1"}}  # fmt: skip
        self.greeting = (await self.request("initialize", hello)).result
        await self.notify("notifications/initialized")
        await self.carrier.listen()

    def next_id(self) -> object:
        """Return an id that was not used yet, now a number and now a string."""
        number = next(self._ids)
        return number if number % 2 else f'"{self.tag}" #{number}'

    async def start(
        self, method: str, params: Plain | None = None, *, meta: Plain | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> object:  # fmt: skip
        """Send a request; returns its id."""
        request_id = self.next_id()
        message: Plain = {"jsonrpc": "2.0", "id": request_id, "method": method}
        if params is not None or meta is not None or self.front.is_modern:
            message["params"] = {**(params or {}), **self._meta(meta)}
        self._pending[json.dumps(request_id)] = asyncio.get_running_loop().create_future()
        await self.carrier.send(message, write(message), headers or {})
        return request_id

    def expect(self, method: str, params: Plain) -> Plain:
        """Return a request that is sent with others in one message."""
        request_id = self.next_id()
        self._pending[json.dumps(request_id)] = asyncio.get_running_loop().create_future()
        return {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}

    def _meta(self, meta: Plain | None) -> Plain:
        own: Plain = {}
        if self.front.is_modern:
            own = {OWN + "protocolVersion": MODERN, OWN + "clientCapabilities": self.capabilities,
                   OWN + "clientInfo": {"name": self.tag, "version": "1"}}  # fmt: skip
        return {"_meta": {**own, **(meta or {})}} if own or meta else {}

    async def finish(self, request_id: object) -> Reply:
        """Wait for the answer to a request."""
        key = json.dumps(request_id)
        try:
            return await self._pending[key]
        finally:
            self._pending.pop(key, None)

    async def request(
        self, method: str, params: Plain | None = None, *, meta: Plain | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:  # fmt: skip
        """Send a request and wait for its answer."""
        return await self.finish(await self.start(method, params, meta=meta, headers=headers))

    async def converse(self, method: str, params: Plain, meta: Plain | None = None) -> Reply:
        """Send a request, again with answers if that is asked for, and wait for its end."""
        reply = await self.request(method, params, meta=meta)
        while reply.message.get("result", {}).get("resultType") == "input_required":
            assert self.front.is_modern, reply.raw
            reply = await self.request(method, self.retry(params, reply), meta=meta)
        return reply

    def retry(self, params: Plain, reply: Reply) -> Plain:
        """Return the parameters with which a modern request is sent again."""
        responses: Plain = {}
        for key, plain in reply.result.get("inputRequests", {}).items():
            self.asked.append(Heard(plain, reply.raw))
            responses[key] = self.answer(plain)["result"]
        again = {**params, "inputResponses": responses}
        if "requestState" in reply.result:
            again["requestState"] = reply.result["requestState"]
        return again

    async def call(self, tool: str, meta: Plain | None = None, /, **arguments: Any) -> Reply:
        """Call a tool to its end."""
        return await self.converse("tools/call", {"name": tool, "arguments": arguments}, meta)

    async def notify(self, method: str, params: Plain | None = None) -> int:
        """Send a notification; returns the HTTP status, if there is one."""
        message: Plain = {"jsonrpc": "2.0", "method": method, "params": params or {}}
        return await self.carrier.send(message, write(message), {})

    async def respond(self, request_id: object, outcome: Plain) -> int:
        """Send an answer to a question; returns the HTTP status, if there is one."""
        message = {"jsonrpc": "2.0", "id": request_id, **outcome}
        return await self.carrier.send(message, write(message), {})

    async def cancel(self, request_id: object) -> None:
        """Take a request back, in the way of era and transport."""
        self._pending.pop(json.dumps(request_id), None)
        if self.front.is_modern and self.carrier.has_streams:
            await self.carrier.hang_up(request_id)
        else:
            await self.notify("notifications/cancelled", {"requestId": request_id})

    def take(self, raw: str, stream: object = None, status: int = 0) -> None:
        """Take a message."""
        message: Any = json.loads(raw)
        if isinstance(message, list):
            body = raw.encode()
            for start, end in elements(body):
                self.take(body[start:end].decode(), stream, status)
        elif "method" not in message:
            request_id = message.get("id")
            future = self._pending.get(json.dumps(stream if request_id is None else request_id))
            if future is not None and not future.done():
                future.set_result(Reply(message, raw, status))
        elif "id" in message:
            self._take_question(Heard(message, raw, stream))
        else:
            self.heard.append(Heard(message, raw, stream))

    def _take_question(self, question: Heard) -> None:
        self.asked.append(question)
        is_silent = any(word in question.raw for word in self.silent_about)
        if not is_silent:
            outcome = self.answer(question.message)
            sending = self.respond(question.message["id"], outcome)
            task = asyncio.get_running_loop().create_task(sending)
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)

    def answer(self, plain: Plain) -> Plain:
        """Answer a question as this client does."""
        method, params = plain["method"], plain.get("params", {})
        for word, outcome in self.answers.items():
            if word in str(params):
                return outcome
        if method == "roots/list":
            return {"result": {"roots": [{"uri": f"file:///{self.tag}"}]}}
        if method == "sampling/createMessage":
            text = f"{self.tag} says {params['messages'][0]['content']['text']}"
            said = {"role": "assistant", "content": {"type": "text", "text": text}}
            return {"result": {**said, "model": "m", "stopReason": "endTurn"}}
        if params.get("mode") == "url":
            return {"result": {"action": "accept"}}
        name = f"{self.tag} for {params['message']}"
        return {"result": {"action": "accept", "content": {"name": name}}}

    async def hears(self, method: str, *holds: str) -> Heard:
        """Wait for a notification that holds all these texts."""

        def find() -> Heard | None:
            return next(iter(self.all_heard(method, *holds)), None)

        return await eventually(find, f"{self.tag} hears {method} of {holds}")

    def all_heard(self, method: str, *holds: str) -> list[Heard]:
        """Return the notifications that hold all these texts, so far."""
        found = (one for one in self.heard if one.method == method)
        return [one for one in found if all(text in one.raw for text in holds)]

    async def close(self) -> None:
        """Leave."""
        for task in list(self._answering):
            task.cancel()
        await self.carrier.close()
