"""Clients with many calls at once, to a stdio server that asks during each of them."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from loadtests.line import Line, line
from tests.support import asking_child
from tests.support.gateway import Gateway
from tests.support.loop import eventually, on_loop
from tests.support.mcp_client import HEADERS, LEGACY

CALLS = 75
"""Of each of two clients. Their server asks when all have come."""
CONFIG: dict[str, Any] = {
    "stdio": {"allowed_commands": [sys.executable]},
    "servers": [{"id": "asks", "command": sys.executable, "args": [asking_child.__file__]}],
}


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    """Run a gateway with two workers: calls of one client are spread over them."""
    with Gateway(CONFIG, workers=2) as gateway:
        yield gateway


class Client:
    """A legacy client that can be asked, and says its name in every answer."""

    def __init__(self, name: str, port: int, session: str, side: Line) -> None:
        self.name = name
        self._port = port
        self._session = session
        self._side = side
        self._aside = asyncio.Lock()

    async def call(self, number: int, **arguments: Any) -> str:
        """Call a tool, answering its questions unless it leaves; returns what it says."""
        params = {"name": "asks__ask", "arguments": arguments}
        async with line(self._port) as mine:
            await mine.send(self._headers, _request(number, "tools/call", params))
            answer: dict[str, Any] = {}
            async for message in mine.messages():
                if message.get("method") == "elicitation/create" and "leave" not in arguments:
                    await self._answer(message["id"])
                elif message.get("id") == number:
                    answer = message
        text: str = answer["result"]["content"][0]["text"]
        return text

    async def post(self, message: dict[str, Any]) -> int:
        """Send what gets no answer; returns the status: a question may have been taken back."""
        async with self._aside:
            await self._side.send(self._headers, {"jsonrpc": "2.0", **message})
            await self._side.only()
            return self._side.status

    async def _answer(self, question: object) -> None:
        result = {"action": "accept", "content": {"name": self.name}}
        await self.post({"id": question, "result": result})

    @property
    def _headers(self) -> dict[str, str]:
        return {**HEADERS, "Mcp-Session-Id": self._session, "MCP-Protocol-Version": LEGACY}


@asynccontextmanager
async def opened(name: str, port: int) -> AsyncIterator[Client]:
    """Open a session for the time of a block."""
    params = {"protocolVersion": LEGACY, "capabilities": {"elicitation": {}},
              "clientInfo": {"name": name, "version": "1"}}  # fmt: skip
    async with line(port) as side:
        await side.send(HEADERS, _request(1, "initialize", params))
        await side.only()
        yield Client(name, port, side.headers["mcp-session-id"], side)


def _request(number: int, method: str, params: dict[str, Any]) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": params}


@on_loop
async def test_every_question_of_many_calls_at_once_is_answered(gateway: Gateway) -> None:
    """By the client whose call it is, although the call that carries it may end first."""
    port = gateway.port
    async with opened("one", port) as one, opened("two", port) as two, asyncio.TaskGroup() as group:
        calls = [
            (client.name, group.create_task(client.call(number, crowd=CALLS)))
            for number in range(2, CALLS + 2) for client in (one, two)
        ]  # fmt: skip
    assert len(calls) == 2 * CALLS
    for name, call in calls:
        assert json.loads(call.result()) == {"action": "accept", "content": {"name": name}}


@on_loop
async def test_a_question_whose_last_call_ends_is_refused_at_the_server(gateway: Gateway) -> None:
    """At once and with a reason; the session goes on."""
    async with opened("one", gateway.port) as client:
        assert await client.call(2, leave=True) == "ask"
        await eventually(lambda: "no call of the client is under way" in gateway.log, "the refusal")
        assert json.loads(await client.call(3)) == {"action": "accept", "content": {"name": "one"}}
