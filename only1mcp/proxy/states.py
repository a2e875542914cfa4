"""The state of a modern server's call, which its client carries from one request to the next.

The server's own is opaque to us and need not be bound to anybody (2026-07-28, basic/patterns/mrtr).
So the client gets it sealed, bound to the server and to who called; the server gets it back byte
for byte.
"""

from collections.abc import Sequence
from dataclasses import replace

import orjson

from only1mcp._speedups import Envelope, scan
from only1mcp.errors import InvalidParams
from only1mcp.protocol import jsonrpc
from only1mcp.protocol.inbound import Inbound
from only1mcp.protocol.raw_object import fields, with_field
from only1mcp.proxy.sealed import Seal

STATE = "requestState"
PREFIX = "o1s."


class States:
    """Seals the states of all servers."""

    def __init__(self, key: bytes) -> None:
        self._seal = Seal(key, b"only1mcp server state", PREFIX)

    def sealed(self, reply: Envelope, server_id: str, principal: str) -> Envelope:
        """Return a modern server's reply as its client may have it."""
        if reply.result_type != "input_required":
            return reply
        result: bytes = reply.body[reply.result_start : reply.result_end]
        state = fields(result).get(STATE, b"")
        if not state.startswith(b'"'):
            return reply
        text = self._seal.seal(orjson.dumps([server_id, principal]) + b"\n" + state)
        changed = with_field(result, STATE, orjson.dumps(text))
        return scan(jsonrpc.result(reply.id or b"0", changed))

    def returned(
        self, inbound: Inbound, sealed: str, server_ids: Sequence[str]
    ) -> tuple[Inbound, str]:
        """Return a request with the server's own state, and the server that it belongs to.

        Args:
            inbound: the client's request.
            sealed: the state that it brings.
            server_ids: the servers that it could go to.

        Raises:
            InvalidParams: the state was altered, or given to another, or for another server.
        """
        try:
            head, _, state = self._seal.open(sealed).partition(b"\n")
        except ValueError as error:
            raise _not_valid() from error
        server_id, principal = orjson.loads(head)
        if principal != inbound.principal or server_id not in server_ids:
            raise _not_valid()
        envelope = inbound.envelope
        params: bytes = envelope.body[envelope.params_start : envelope.params_end]
        again = jsonrpc.request(
            envelope.id or b"0", envelope.method or "", with_field(params, STATE, state)
        )
        return replace(inbound, envelope=scan(again)), server_id


def _not_valid() -> InvalidParams:
    return InvalidParams("params.requestState is not valid", hint="call again without requestState")
