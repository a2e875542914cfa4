"""A modern server wants input of a legacy client: it is asked, and the call sent again.

Source: 2026-07-28, basic/patterns/mrtr; the bound on rounds and the pace are those of the
TypeScript SDK's shim for the same purpose.
"""

import asyncio
from dataclasses import replace
from functools import partial
from uuid import uuid4

import orjson

from only1mcp._speedups import Envelope, scan
from only1mcp.backends.call import Outgoing
from only1mcp.errors import BackendProtocolError, Only1MCPError
from only1mcp.protocol.client_features import needed
from only1mcp.protocol.input_required import (
    InputRequest,
    params_for_legacy,
    read_input_required,
    retry_params,
)
from only1mcp.proxy.answer import success
from only1mcp.proxy.asks import Asks
from only1mcp.proxy.conversation import Conversation
from only1mcp.sessions.session import Session

MAX_ROUNDS = 8
PACE_S = 0.25
"""How long a server that asks for nothing is left alone before the call is sent again."""
_CANCELLED = b'{"action":"cancel"}'


def wants_input(reply: Envelope) -> bool:
    """Say whether a reply is a request for input."""
    return reply.result_type == "input_required"


class Rounds:
    """The rounds of one call."""

    def __init__(self, call: Conversation, session: Session, request: Outgoing, asks: Asks) -> None:
        self._call = call
        self._session = session
        self._request = request
        self._asks = asks
        self._count = 0
        self._state: bytes | None = None
        self._open: dict[str, bytes] = {}
        """The key of each input that is missing, to the id of our question."""
        self._answers: list[tuple[str, bytes]] = []
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, reply: Envelope) -> None:
        """Ask the client for what the server wants."""
        self._count += 1
        try:
            if self._count > MAX_ROUNDS:
                raise BackendProtocolError(
                    f"server {self._call.server_id} asked for input more than {MAX_ROUNDS} times"
                )
            result: bytes = reply.body[reply.result_start : reply.result_end]
            wanted, self._state = read_input_required(result)
            self._answers = []
            self._check(wanted)
            self._ask(wanted)
        except Only1MCPError as error:
            self._refuse(error)

    def _check(self, wanted: list[InputRequest]) -> None:
        for request in wanted:
            need = needed(request.method, request.params)
            if need is None or need & ~self._session.features:
                raise BackendProtocolError(
                    f"the client does not support {request.method[:100]} of this kind, "
                    f"which server {self._call.server_id} needs for this call"
                )

    def _ask(self, wanted: list[InputRequest]) -> None:
        if not wanted:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(PACE_S, self._send_again)
            return
        self._call.stop_time()
        for request in wanted:
            params = params_for_legacy(request, self._session.version, str(uuid4()))
            self._open[request.key] = self._asks.ask(
                self._session.serial, request.method, params, self._call.say,
                partial(self._take, request),
            )  # fmt: skip

    def _take(self, request: InputRequest, member: bytes) -> None:
        """Take the client's answer to one question."""
        self._open.pop(request.key, None)
        answer = scan(b'{"jsonrpc":"2.0","id":0,%b}' % member)
        if answer.result_end:
            self._answers.append(
                (request.key, answer.body[answer.result_start : answer.result_end])
            )
        elif request.method == "elicitation/create":
            self._answers.append((request.key, _CANCELLED))
        else:
            self._refuse(BackendProtocolError(f"the client refused {request.method}"))
            return
        if not self._open:
            self._send_again()

    def _send_again(self) -> None:
        self._timer = None
        params = retry_params(self._request.params, self._answers, self._state)
        self._call.send(replace(self._request, params=params))

    def _refuse(self, error: Only1MCPError) -> None:
        """End the call; a tool's user reads why in its result, as with other faults of a tool."""
        inbound = self._call.inbound
        if inbound.envelope.method != "tools/call":
            self._call.on_failure(error)
            return
        assert inbound.envelope.id is not None
        content = [{"type": "text", "text": str(error)}]
        result = orjson.dumps({"content": content, "isError": True})
        self._call.end(success(inbound.envelope.id, result), "error")

    def close(self) -> None:
        """Withdraw all questions."""
        if self._timer is not None:
            self._timer.cancel()
        while self._open:
            self._asks.withdraw(self._open.popitem()[1])
