"""What servers say on the streams of the fast lane's calls before they answer."""

from typing import Any

from only1mcp._speedups import NOTIFICATION, Envelope
from only1mcp.backends.call import refusal
from only1mcp.ingress.fast_exchange import FastExchange
from only1mcp.protocol import jsonrpc
from only1mcp.protocol.event_stream import EventReader
from only1mcp.protocol.subscriptions import is_of_session
from only1mcp.proxy.parts import Parts
from only1mcp.transports.streamable_http import MAX_MESSAGE_BYTES


class LaneEvents:
    """Implements a part of the helper of `only1mcp._speedups.lane_c.Lane`."""

    def __init__(self, lane: Any, parts: Parts) -> None:
        self._lane = lane
        self._parts = parts

    def event(self, call: Any, message: Envelope) -> None:
        """Take what a server says before its answer."""
        if message.kind != NOTIFICATION:
            self._refuse(call, message)
        elif is_of_session(message.method):
            _, _, server_id = call.plan.about
            self._parts.means.on_aside(server_id, message)
        elif not call.plan.modern and message.method == "notifications/message":
            if call.exchange is None:
                call.exchange = FastExchange(call.front, self._lane)
            call.exchange.send(message.body)
            if call.flight is not None:
                call.flight.message(message.body)

    @staticmethod
    def _refuse(call: Any, message: Envelope) -> None:
        """Answer a legacy server's question of a client that cannot be asked anything."""
        if call.plan.opened is not None:
            refused = jsonrpc.response(message.id or b"null", refusal(message))
            call.plan.ids.reply(call.plan.opened, refused)

    def event_reader(self) -> EventReader:
        """Return what reads events that are not written in the plainest way."""
        return EventReader(MAX_MESSAGE_BYTES)
