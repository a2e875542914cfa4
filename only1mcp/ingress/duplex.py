"""One client on a two-way channel of messages, by the rules of stdio (basic/transports/stdio).

Whatever carries the channel feeds it with messages and takes those that come back; there are no
headers, so what they would say is taken from the bodies. A legacy client's session lives as long as
the channel. A modern client's streams share it, told apart by their subscription ids.
"""

import logging
from collections import deque
from collections.abc import Callable

import orjson

from only1mcp._speedups import BATCH, REQUEST, Envelope, scan
from only1mcp.auth.principal import ANYONE, Principal
from only1mcp.backends.call import Cancel
from only1mcp.errors import InvalidRequest, Only1MCPError, Overloaded
from only1mcp.ingress.service import McpService
from only1mcp.protocol import jsonrpc
from only1mcp.protocol.cancellation import CANCELLED, cancellation, cancelled_id
from only1mcp.protocol.headers import McpHeaders
from only1mcp.protocol.standard_headers import standard_headers
from only1mcp.proxy.exchange import Answer, Request

MAX_UNDER_WAY = 1000
"""Requests of one channel that are not answered yet."""
MAX_BYTES_UNDER_WAY = 32 * 1024 * 1024
"""What they may hold together, those included that wait for the session to be opened."""
MAX_BATCHES = 10
"""Batches of one channel that are not answered yet, each of many requests."""
_LISTEN = "subscriptions/listen"
_INITIALIZED = "notifications/initialized"
_log = logging.getLogger(__name__)


class Duplex:
    """Carries one client's messages to the service, and the answers back.

    Args:
        service: answers the messages.
        write: takes each message for the client.
        client: the peer's address, for logs.
        name: names the channel.
        principal: who opened it; all that it brings is theirs.
    """

    def __init__(
        self, service: McpService, write: Callable[[bytes], None], client: str, name: str,
        principal: Principal = ANYONE,
    ) -> None:  # fmt: skip
        self.principal = principal
        self._service = service
        self._write = write
        self._client = client
        self._name = name
        self._session: str | None = None
        self._version: str | None = None
        self._is_opening = False
        """Whether `initialize` is under way; what comes meanwhile waits for the session."""
        self._held: deque[bytes] = deque()
        self._under_way: dict[bytes, _Reply] = {}
        """Requests that are not answered yet, by the client's own ids."""
        self._batches = 0
        """How many batches are under way; they have ids of our own among the requests."""
        self._bytes = 0
        self._stream: Cancel = _nothing
        self._on_idle: Cancel | None = None
        self._closed = False

    def take(self, message: bytes) -> None:
        """Take one message of the client."""
        if self._closed:
            return
        envelope = _scanned(message)
        if self._is_opening and (envelope is None or not envelope.version_start):
            self._hold(message, envelope)
        elif envelope is not None and envelope.method == CANCELLED:
            self._cancel(envelope)
        else:
            self._start(message, envelope)

    def retire(self, on_idle: Cancel) -> None:
        """Begin nothing new; `on_idle` is called once nothing is under way any more."""
        self._on_idle = on_idle
        self._check_idle()

    def close(self) -> None:
        """Stop all that is under way: the client has gone."""
        if self._closed:
            return
        self._closed = True
        self._held.clear()
        for reply in list(self._under_way.values()):
            reply.stop()
        self._end_session()

    def _hold(self, message: bytes, envelope: Envelope | None) -> None:
        """Keep a message until the session is open."""
        if self._has_room(message, len(self._held)):
            self._bytes += len(message)
            self._held.append(message)
        elif envelope is not None and envelope.kind in (REQUEST, BATCH):
            self._refuse(envelope, Overloaded("too many messages wait for the session"))

    def _has_room(self, message: bytes, count: int) -> bool:
        return count < MAX_UNDER_WAY and self._bytes + len(message) <= MAX_BYTES_UNDER_WAY

    def _start(self, message: bytes, envelope: Envelope | None) -> None:
        """Hand a message to the service, which says itself what is wrong with a malformed one."""
        reply = _Reply(self, envelope, len(message))
        if envelope is not None and envelope.kind in (REQUEST, BATCH):
            refused = self._refusal(message, envelope)
            if refused is not None:
                self._refuse(envelope, refused)
                return
            if reply.opens_session:
                self._end_session()
                self._is_opening = True
            self._under_way[reply.id or b""] = reply
            self._batches += reply.is_batch
            self._bytes += reply.size
        cancel = self._service.handle(self._request(message, envelope), reply)
        if not reply.ended:
            reply.cancel = cancel
        if envelope is not None and _says_initialized(envelope):
            self._follow()

    def _refusal(self, message: bytes, envelope: Envelope) -> Only1MCPError | None:
        """Return why a request is not taken; None if it is."""
        if envelope.id in self._under_way:
            return InvalidRequest("a request of this id is under way", hint="use each id once")
        if envelope.kind == BATCH and self._batches >= MAX_BATCHES:
            return Overloaded("too many batches are under way")
        if self._on_idle is not None:
            return Overloaded("the gateway goes away", hint="connect again")
        if not self._has_room(message, len(self._under_way)):
            return Overloaded("too many requests are under way")
        return None

    def _refuse(self, envelope: Envelope, error: Only1MCPError) -> None:
        self._write(jsonrpc.error_from(envelope.id, error))

    def _request(self, message: bytes, envelope: Envelope | None) -> Request:
        """Add what would stand in headers."""
        if envelope is not None and envelope.version_start:
            headers = standard_headers(envelope)
        else:
            headers = McpHeaders(version=self._version, session=self._session)
        return Request(headers, message, self._client, channel=self._name, principal=self.principal)

    def _cancel(self, cancelled: Envelope) -> None:
        """Stop what a notification names; it is not answered any more (utilities/cancellation)."""
        reply = self._under_way.get(cancelled_id(cancelled) or b"")
        if reply is None and self._batches:  # it may be in one of them
            self._start(cancelled.body, cancelled)
        elif reply is not None and not reply.opens_session:
            reply.stop()
            self.ended(reply)

    def _follow(self) -> None:
        """Open the stream of the session: what belongs to no request comes the same way."""
        self._stream()
        self._stream = _nothing
        if self._session is None:
            return
        try:
            self._stream = self._service.stream(self._request(b"", None), _Reply(self, None, 0))
        except Only1MCPError as error:
            _log.warning("a session hears no notifications: %s", error)

    def send(self, message: bytes) -> None:
        """Pass a message to the client."""
        if not self._closed:
            self._write(message)

    def ended(self, reply: "_Reply") -> None:
        """Forget a request."""
        request_id = reply.id or b""
        if self._under_way.get(request_id) is reply:
            del self._under_way[request_id]
            self._batches -= reply.is_batch
            self._bytes -= reply.size
        self._check_idle()

    def opened(self, answer: Answer) -> None:
        """Learn what became of `initialize`, and go on with what waits for it."""
        self._is_opening = False
        if answer.session_id is not None:
            self._session = answer.session_id
            self._version = orjson.loads(answer.body)["result"]["protocolVersion"]
        held, self._held = self._held, deque()
        for message in held:
            self._bytes -= len(message)
            self.take(message)

    def _check_idle(self) -> None:
        if self._on_idle is not None and not self._under_way:
            self._on_idle()

    def _end_session(self) -> None:
        """End the session, as DELETE does."""
        self._stream()
        self._stream = _nothing
        if self._session is not None:
            request = self._request(b"", None)
            self._session = self._version = None
            try:
                self._service.end_session(request)
            except Only1MCPError as error:
                _log.debug("the session had ended already: %s", error)


class _Reply:
    """Implements `only1mcp.proxy.exchange.Exchange` for one message."""

    def __init__(self, duplex: Duplex, envelope: Envelope | None, size: int) -> None:
        self.id: bytes | None = None
        self.is_batch = envelope is not None and envelope.kind == BATCH
        self.opens_session = False
        self.size = size
        self.ended = False
        """Whether the client is to hear no more of this."""
        self.cancel: Cancel = _nothing
        self._duplex = duplex
        self._method = envelope.method if envelope is not None else None
        self._is_answered = envelope is None or envelope.kind in (REQUEST, BATCH)
        if envelope is not None and envelope.kind == REQUEST:
            self.id = envelope.id
            self.opens_session = self._method == "initialize" and not envelope.version_start
        elif self.is_batch:
            self.id = b"batch %x" % id(self)  # no JSON: no request has such an id

    def stop(self) -> None:
        """Cancel it."""
        self.ended = True
        self.cancel()

    def open(self) -> None:
        """Do nothing: the channel is open."""

    def send(self, message: bytes, event_id: str | None = None) -> None:
        """Send a message before the answer."""
        del event_id
        if message and not self.ended:
            self._duplex.send(message)

    def answer(self, answer: Answer, event_id: str | None = None) -> None:
        """Send the answer, if the message is one that has an answer."""
        del event_id
        if self._is_answered and answer.body:
            self.send(answer.body)
            if self._method == _LISTEN and answer.status == 200:
                # Both ways of saying that a stream has ended: the result, and that of stdio.
                self.send(cancellation(self.id or b""))
        self.end()
        if self.opens_session:
            self._duplex.opened(answer)

    def end(self) -> None:
        """End without an answer."""
        if not self.ended:
            self.ended = True
            self._duplex.ended(self)


def _scanned(message: bytes) -> Envelope | None:
    try:
        return scan(message)
    except Only1MCPError:
        return None


def _says_initialized(envelope: Envelope) -> bool:
    """Say whether the client is ready; in a batch that is found by its looks.

    To follow a session again does no harm.
    """
    if envelope.kind == BATCH:
        return b'"%b"' % _INITIALIZED.encode() in envelope.body
    return envelope.method == _INITIALIZED


def _nothing() -> None:
    """There is nothing to stop."""
