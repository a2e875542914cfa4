"""What clients send that is no request: notifications, and answers to servers' questions."""

from collections.abc import Callable

from only1mcp._speedups import RESPONSE, members
from only1mcp.backends.call import Cancel
from only1mcp.errors import Cancelled
from only1mcp.protocol.client_features import ROOTS_LIST_CHANGED
from only1mcp.protocol.inbound import Inbound
from only1mcp.proxy.answer import ACCEPTED
from only1mcp.proxy.asks import Asks, owner
from only1mcp.proxy.journey import Journey
from only1mcp.proxy.peers import Peers
from only1mcp.sessions.session import Session


class Inbox:
    """Brings each to whom it concerns, in whatever worker that is."""

    def __init__(self, asks: Asks, peers: Peers, on_roots_changed: Callable[[int], None]) -> None:
        self._on_roots_changed = on_roots_changed
        self._asks = asks
        self._peers = peers
        self.cancel_carried: Callable[[str, bytes], bool] = _unknown
        """Cancels a call that the fast lane carries, by session id and request id."""
        self._running: dict[tuple[int, bytes], list[Journey]] = {}
        """The requests of legacy sessions, by serial and the client's own id.

        There should be one of each, yet a client may send a request again whose connection broke:
        each is answered where it came, and a cancellation is about all of them.
        """

    def register(self, serial: int, journey: Journey) -> None:
        """Remember a request that its client may cancel."""
        assert journey.envelope is not None
        key = (serial, journey.envelope.id or b"")
        self._running.setdefault(key, []).append(journey)
        journey.on_end = lambda: self._forget(key, journey)

    def end_session(self, serial: int) -> None:
        """Stop what is under way for a session that was ended."""
        for key in [key for key in self._running if key[0] == serial]:
            self._stop(key, "the session was ended")

    def _stop(self, key: tuple[int, bytes], why: str) -> None:
        for running in list(self._running[key]):
            if running.call is not None:
                running.call.abandon()
            running.fail(Cancelled(why))

    def _forget(self, key: tuple[int, bytes], journey: Journey) -> None:
        journeys = self._running.get(key, [])
        if journey in journeys:
            journeys.remove(journey)
            if not journeys:
                del self._running[key]

    def take(self, journey: Journey, inbound: Inbound, session: Session | None) -> Cancel:
        """Take one message and acknowledge it.

        A modern client cancels by closing its stream; what it posts instead is dropped, since ids
        that clients choose must not reach across callers.

        Raises:
            InvalidRequest: it answers what nobody asked.
        """
        if session is None:
            return journey.finish(ACCEPTED)
        if inbound.envelope.kind == RESPONSE:
            return self._answer(journey, inbound, session)
        if inbound.envelope.method == "notifications/cancelled":
            self._cancel(journey, inbound, session)
        elif inbound.envelope.method == ROOTS_LIST_CHANGED:
            self._on_roots_changed(session.serial)
        return journey.finish(ACCEPTED)

    def _answer(self, journey: Journey, inbound: Inbound, session: Session) -> Cancel:
        address = owner(inbound.envelope.id)
        if address is None or address == self._peers.address or journey.request.forwarded:
            self._asks.deliver(session.serial, inbound.envelope)
            return journey.finish(ACCEPTED)

        def gone() -> None:
            """Ignore the answer: who asked has gone with that worker."""
            journey.finish(ACCEPTED)

        return self._peers.forward(address, journey.request, journey.exchange, gone)

    def _cancel(self, journey: Journey, inbound: Inbound, session: Session) -> None:
        """Cancel the request that a notification names (2025-11-25, utilities/cancellation)."""
        body: bytes = inbound.envelope.body
        spans = members(body, inbound.envelope.params_start) if inbound.envelope.params_end else ()
        named = next((body[a:b] for key, a, b in spans if key == "requestId"), b"")
        key = (session.serial, named)
        is_carried = self.cancel_carried(journey.request.headers.session or "", named)
        if key in self._running:
            self._stop(key, "the request was cancelled")
        elif not is_carried and not journey.request.forwarded:
            self._peers.tell_others(journey.request)


def _unknown(session: str, request_id: bytes) -> bool:
    """Know of no call that is carried elsewhere."""
    del session, request_id
    return False
