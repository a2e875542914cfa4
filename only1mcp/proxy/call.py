"""One call under way: from the route to the answer."""

import asyncio
from collections.abc import Callable, Mapping

from only1mcp._speedups import Envelope
from only1mcp.backends.call import Backend, Cancel, Outgoing
from only1mcp.errors import BackendTimeout, Only1MCPError
from only1mcp.protocol.inbound import Inbound
from only1mcp.protocol.translate import (
    INVALID_PARAMS,
    RESOURCE_NOT_FOUND_LEGACY,
    error_for,
    owned_meta,
    params_across,
    spliced_params,
)
from only1mcp.protocol.versions import Era
from only1mcp.proxy.answer import relay
from only1mcp.proxy.exchange import Answer
from only1mcp.registry.snapshot import Snapshot
from only1mcp.routing.router import Route
from only1mcp.sessions.session import Session

OnEnd = Callable[[Answer | Only1MCPError, str], None]
"""Takes the answer or the failure, and the metric status."""
OnAttempt = Callable[[str, str, float], None]
"""Takes a server's id, the metric status of one attempt on it, and its seconds."""


class Call:
    """Asks the servers of a route, one after the other if need be, until one has an answer."""

    def __init__(
        self, inbound: Inbound, session: Session | None, route: Route, snapshot: Snapshot,
        on_attempt: OnAttempt, on_end: OnEnd,
    ) -> None:  # fmt: skip
        self._inbound = inbound
        self._session = session
        self._route = route
        self._snapshot = snapshot
        self._on_attempt = on_attempt
        self._on_end = on_end
        self._asked = 0
        self._leg = inbound.era
        self._began = 0.0
        self._cancel: Cancel | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._backends: Mapping[str, Backend] = {}
        self._loop = asyncio.get_running_loop()

    @property
    def server_id(self) -> str:
        """The server that is being asked."""
        return self._route.server_ids[self._asked]

    def start(self, backends: Mapping[str, Backend], timeout_s: float) -> None:
        """Send the call; its end reaches `on_end`, at the latest after `timeout_s`."""
        self._backends = backends
        self._timer = self._loop.call_later(timeout_s, self._time_out, timeout_s)
        self._send()

    def abandon(self) -> None:
        """Stop: the client has gone."""
        self._attempt_ended("cancelled")
        self._stop()

    def _send(self) -> None:
        self._leg = self._choose_leg()
        self._began = self._loop.time()
        method = self._inbound.method
        assert method is not None
        outgoing = Outgoing(
            method.name, self._params(), self._leg, self._route.target, safe=method.safe
        )
        asked = self._asked
        cancel = self._backends[self.server_id].call(outgoing, self)
        if self._timer is not None and self._asked == asked:  # no answer already, on the way
            self._cancel = cancel

    def _choose_leg(self) -> Era:
        """Speak the client's era if the backend knows it, else the one that it knows."""
        eras = self._snapshot.catalogues[self.server_id].eras
        if self._inbound.era in eras or not eras:
            return self._inbound.era
        return next(iter(eras))

    def _params(self) -> bytes:
        route, envelope = self._route, self._inbound.envelope
        params = spliced_params(envelope, route.name_start, route.name_end, route.name)
        if self._leg is self._inbound.era:
            return params
        owned: list[tuple[str, bytes]] = []
        if self._leg is Era.MODERN:
            assert self._session is not None
            owned = owned_meta(self._session.capabilities, self._session.client_info)
        return params_across(params, self._leg, owned)

    def on_reply(self, reply: Envelope) -> None:
        """Answer the client, or ask the next server when this one does not know the resource."""
        if self._should_ask_next(reply):
            self._attempt_ended("error")
            self._asked += 1
            self._send()
            return
        request_id, method = self._inbound.envelope.id, self._inbound.method
        assert request_id is not None
        assert method is not None
        try:
            answer, status = relay(request_id, reply, method.name, self._inbound.era, self._leg)
        except Only1MCPError as error:
            self.on_failure(error)
            return
        self._attempt_ended(status)
        self._end(answer, status)

    def _should_ask_next(self, reply: Envelope) -> bool:
        if reply.result_end or self._asked + 1 == len(self._route.server_ids):
            return False
        code, _ = error_for(reply, self._inbound.era)
        return code in (RESOURCE_NOT_FOUND_LEGACY, INVALID_PARAMS)

    def on_failure(self, error: Only1MCPError) -> None:
        """Answer the client with the failure."""
        self._attempt_ended(error.reason)
        self._end(error, error.reason)

    def _time_out(self, timeout_s: float) -> None:
        if self._cancel is not None:
            self._cancel()
        self.on_failure(
            BackendTimeout(
                f"server {self.server_id} did not answer within {timeout_s:g} s",
                hint="the call may still run there; raise `timeout` if it needs longer",
            )
        )

    def _attempt_ended(self, status: str) -> None:
        self._on_attempt(self.server_id, status, self._loop.time() - self._began)

    def _end(self, outcome: Answer | Only1MCPError, status: str) -> None:
        self._cancel = None
        self._stop()
        self._on_end(outcome, status)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._cancel is not None:
            self._cancel()
            self._cancel = None
