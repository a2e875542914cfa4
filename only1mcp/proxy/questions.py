"""How a legacy server's questions reach the client during a call, and the answers the server.

A legacy client gets a real request on the call's own stream (2025-11-25). A modern one cannot be
asked: its request is answered with `input_required`, and the answers come with its next request
(2026-07-28, basic/patterns/mrtr), while the call waits in the parking.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import orjson

from only1mcp._speedups import Envelope, members
from only1mcp.backends.call import Respond, refusal
from only1mcp.errors import Only1MCPError
from only1mcp.protocol import jsonrpc
from only1mcp.protocol.client_features import Feature, needed
from only1mcp.protocol.input_required import InputRequest, params_for_modern, write_input_required
from only1mcp.proxy.answer import success
from only1mcp.proxy.asks import Asks
from only1mcp.proxy.conversation import Conversation
from only1mcp.proxy.parking import Parking
from only1mcp.sessions.session import Session

GATHER_S = 0.01
"""How long questions are gathered that a server asks at the same time."""


class Questions(Protocol):
    """The questions of one call."""

    def put(self, message: Envelope, respond: Respond) -> None:
        """Put a server's question to the client."""

    def withdraw(self, message: Envelope) -> None:
        """Take back the question that a server's `notifications/cancelled` names."""

    def resume(self, responses: Mapping[str, bytes]) -> None:
        """Take the answers that a modern client's next request brings."""

    def close(self) -> None:
        """Take back all questions: the call has ended."""


def make_questions(
    call: Conversation, session: Session | None, asks: Asks, parking: Parking
) -> Questions:
    """Return the form that fits the client's era."""
    return Relayed(call, session, asks) if session is not None else Gathered(call, parking)


class Relayed:
    """Questions to a legacy client, on the call's own stream."""

    def __init__(self, call: Conversation, session: Session, asks: Asks) -> None:
        self._call = call
        self._session = session
        self._asks = asks
        self._open: dict[bytes, bytes] = {}
        """The server's id of each question, to ours."""

    def put(self, message: Envelope, respond: Respond) -> None:
        """Send the question; the server's time stands still meanwhile."""
        theirs = message.id or b""

        def answered(member: bytes) -> None:
            self._open.pop(theirs, None)
            if not self._open:
                self._call.keep_time()
            respond(member)

        self._call.stop_time()
        params: bytes = message.body[message.params_start : message.params_end]
        try:
            self._open[theirs] = self._asks.ask(
                self._session.serial, message.method or "", params, self._call.say, answered
            )
        except Only1MCPError as error:
            self._call.keep_time()
            respond(jsonrpc.error_member(error))

    def withdraw(self, message: Envelope) -> None:
        """Tell the client that its answer is not wanted any more."""
        ours = self._open.pop(named_request(message), None)
        if ours is not None:
            self._asks.withdraw(ours)
            if not self._open:
                self._call.keep_time()

    def resume(self, responses: Mapping[str, bytes]) -> None:
        """Nothing comes this way: legacy clients answer by themselves."""

    def close(self) -> None:
        """Withdraw all that is open."""
        while self._open:
            self._asks.withdraw(self._open.popitem()[1])


@dataclass(frozen=True, slots=True)
class _Gathered:
    """A question that waits for the client's next request."""

    request: InputRequest
    respond: Respond
    theirs: bytes
    """The server's id of it."""


class Gathered:
    """Questions to a modern client, gathered into `input_required`."""

    def __init__(self, call: Conversation, parking: Parking) -> None:
        self._call = call
        self._parking = parking
        self._open: dict[str, _Gathered] = {}
        self._count = 0
        self._timer: asyncio.TimerHandle | None = None

    def put(self, message: Envelope, respond: Respond) -> None:
        """Keep the question; it goes out with others that come at the same time."""
        self._count += 1
        key, method = f"q{self._count}", message.method or ""
        params: bytes = message.body[message.params_start : message.params_end]
        request = InputRequest(key, method, params_for_modern(method, params) if params else b"")
        self._open[key] = _Gathered(request, respond, message.id or b"")
        self._hand_out_soon()

    def _hand_out_soon(self) -> None:
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(GATHER_S, self._hand_out)

    def _hand_out(self) -> None:
        self._timer = None
        if not self._open or self._call.is_paused:
            return
        request_id = self._call.inbound.envelope.id
        assert request_id is not None
        try:
            state = self._parking.park(self._call)
        except Only1MCPError as error:
            for entry in self._take_all():
                entry.respond(jsonrpc.error_member(error))
            return
        requests = [entry.request for entry in self._open.values()]
        self._call.pause(success(request_id, write_input_required(requests, state)))

    def withdraw(self, message: Envelope) -> None:
        """Forget the question; a client that was told of it answers in vain."""
        theirs = named_request(message)
        for key, entry in list(self._open.items()):
            if entry.theirs == theirs:
                del self._open[key]

    def resume(self, responses: Mapping[str, bytes]) -> None:
        """Hand the answers on; what was not answered is asked again."""
        for key, raw in responses.items():
            entry = self._open.pop(key, None)
            if entry is not None:
                entry.respond(b'"result":' + raw)
        if self._open:
            self._hand_out_soon()

    def close(self) -> None:
        """Forget all questions."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._open.clear()

    def _take_all(self) -> list[_Gathered]:
        taken = list(self._open.values())
        self._open.clear()
        return taken


def objection(message: Envelope, features: Feature) -> bytes | None:
    """Return what a server hears that asks what its client cannot be asked; None if it can."""
    need = needed(message.method or "", message.body[message.params_start : message.params_end])
    if need is None:
        return refusal(message)
    if need & ~features:
        text = f"the client does not support {message.method} of this kind"
        return b'"error":%b' % orjson.dumps({"code": -32601, "message": text})
    return None


def named_request(message: Envelope) -> bytes:
    """Return the raw id that a `notifications/cancelled` names."""
    body: bytes = message.body
    if message.params_end:
        for key, start, end in members(body, message.params_start):
            if key == "requestId":
                return body[start:end]
    return b""
