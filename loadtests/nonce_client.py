"""A client that can tell its own answers from all others, and the figures of a run of many."""

import asyncio
import contextlib
import itertools
import random
import secrets
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from loadtests.echo_server import ASK, LATE, LEGACY, SLOW, SWIFT
from loadtests.line import LOST, Line
from tests.support.mcp_client import HEADERS, META, modern_headers

LANES = 2
"""How many calls a client has under way at once."""
PATIENCE_S = 60.0
_TIMED_OUT, _CANCELLED = 32002, -32800
_OUTCOMES = {_TIMED_OUT: "timed out", _CANCELLED: "cancelled"}
_ASKABLE: dict[str, Any] = {"elicitation": {"form": {}}}


class WrongDelivery(Exception):
    """Something reached a client that was meant for another, or for another call."""


@dataclass(slots=True)
class Run:
    """What all clients share: how many calls are left, and what has become of the others."""

    left: int
    outcomes: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    questions: int = 0
    kills: int = 0

    def take(self) -> bool:
        """Say whether there is a call left to make, and count it."""
        self.left -= 1
        return self.left >= 0

    def summary(self) -> dict[str, Any]:
        """Return the figures."""
        return {
            "calls": self.outcomes.total(), **self.outcomes, "questions": self.questions,
            "kills": self.kills, "errors": dict(self.errors),
        }  # fmt: skip


class Client:
    """One client; odd ones are legacy, and every fourth pair can be asked."""

    def __init__(self, number: int, port: int, run: Run) -> None:
        self.name = f"c{number}"
        self._run = run
        self._port = port
        self._legacy = number % 2 == 1
        self._askable = number % 8 < 2
        self._ids = itertools.count(1)
        self._session = ""
        self._aside = asyncio.Lock()
        self._side = Line(port)
        """For notifications and answers, while calls wait on the lanes."""

    async def run(self) -> None:
        """Make calls until none is left."""
        if self._legacy:
            await self._initialize()
        async with asyncio.TaskGroup() as group:
            for _ in range(LANES):
                group.create_task(self._lane())
        self._side.close()

    async def _initialize(self) -> None:
        capabilities = _ASKABLE if self._askable else {}
        params = {"protocolVersion": LEGACY, "capabilities": capabilities,
                  "clientInfo": {"name": self.name, "version": "1"}}  # fmt: skip
        body = {"jsonrpc": "2.0", "id": next(self._ids), "method": "initialize", "params": params}
        while not self._session:
            with contextlib.suppress(*LOST):
                await self._side.send(HEADERS, body)
                await self._side.only()
                self._session = self._side.headers["mcp-session-id"]
                continue
            self._side.close()

    async def _lane(self) -> None:
        line = Line(self._port)
        while self._run.take():
            try:
                async with asyncio.timeout(PATIENCE_S):
                    outcome = await self._call(line)
            except LOST:
                outcome = "lost"
                line.close()
            self._run.outcomes[outcome] += 1
        line.close()

    async def _call(self, line: Line) -> str:
        mood = random.choices((SWIFT, SLOW, LATE), (95, 4, 0.5))[0]
        servers = ["legacy", "modern"]
        if self._askable:
            mood = random.choice((mood, mood, ASK))
        else:
            servers += ["stdio", "stdio"]
        number = next(self._ids)
        nonce = f"{self.name}.{number}.{secrets.token_hex(6)}"
        params = {"name": f"{random.choice(servers)}__echo",
                  "arguments": {"nonce": nonce, "mood": mood}}  # fmt: skip
        await self._send(line, number, params)
        if mood == SLOW:
            await asyncio.sleep(random.uniform(0, 0.15))
            if not self._legacy:
                line.close()
                return "cancelled"
            await self._post({"jsonrpc": "2.0", "method": "notifications/cancelled",
                              "params": {"requestId": number}})  # fmt: skip
        return await self._outcome(line, number, params, mood)

    async def _outcome(self, line: Line, number: int, params: dict[str, Any], mood: str) -> str:
        """Hear the answer, answering questions on the way, and check whose it is."""
        nonce = params["arguments"]["nonce"]
        answer = None
        async for message in line.messages():
            if "method" in message:
                await self._reply(message, nonce)
                continue
            _must(answer is None and message.get("id") == number, nonce, message)
            answer = message
        if answer is None:
            _must(mood == SLOW and self._legacy, nonce, None)
            return "cancelled"
        if "error" in answer:
            error = answer["error"]
            outcome = _OUTCOMES.get(error["code"], "failed")
            _must(outcome != "cancelled" or mood == SLOW, nonce, answer)
            if outcome == "failed":
                self._run.errors[f"{mood}: {error['code']} {error['message']}"] += 1
            return outcome
        result = answer["result"]
        if result.get("resultType") == "input_required":
            return await self._retry(line, params, result)
        _must(result["content"] == [{"type": "text", "text": nonce}], nonce, answer)
        return "answered"

    async def _reply(self, message: dict[str, Any], nonce: str) -> None:
        """Answer what a legacy client is asked."""
        if message["method"] != "elicitation/create":
            return
        _must(message["params"]["message"] == nonce, nonce, message)
        self._run.questions += 1
        result = {"action": "accept", "content": {"nonce": nonce}}
        await self._post({"jsonrpc": "2.0", "id": message["id"], "result": result})

    async def _retry(self, line: Line, params: dict[str, Any], result: dict[str, Any]) -> str:
        """Answer what a modern client is asked, in its next request."""
        nonce = params["arguments"]["nonce"]
        ((key, asked),) = result["inputRequests"].items()
        _must(asked["params"]["message"] == nonce, nonce, result)
        self._run.questions += 1
        number = next(self._ids)
        answers = {key: {"action": "accept", "content": {"nonce": nonce}}}
        again = {**params, "inputResponses": answers, "requestState": result["requestState"]}
        await self._send(line, number, again)
        return await self._outcome(line, number, again, ASK)

    async def _send(self, line: Line, number: int, params: dict[str, Any]) -> None:
        body: dict[str, Any] = {
            "jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params,
        }  # fmt: skip
        if self._legacy:
            await line.send(self._headers(), body)
            return
        meta = dict(META)
        if self._askable:
            meta["io.modelcontextprotocol/clientCapabilities"] = _ASKABLE
        body["params"] = {**params, "_meta": meta}
        await line.send(modern_headers("tools/call", params["name"]), body)

    async def _post(self, message: dict[str, Any]) -> None:
        """Send what gets no answer; again when a worker has died over it."""
        async with self._aside:
            sent = False
            while not sent:
                with contextlib.suppress(*LOST):
                    await self._side.send(self._headers(), message)
                    await self._side.only()
                    sent = True
                    continue
                self._side.close()

    def _headers(self) -> dict[str, str]:
        return {**HEADERS, "Mcp-Session-Id": self._session, "MCP-Protocol-Version": LEGACY}


def _must(holds: bool, nonce: str, got: object) -> None:
    if not holds:
        raise WrongDelivery(f"the call {nonce} got {got}")
