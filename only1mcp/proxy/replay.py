"""Streams of legacy clients that survive a broken connection (2025-11-25, Resumability).

Each event has an id that names the worker, the stream and its place in it. A client that comes
back with the last id it saw gets what followed, on whatever connection, as long as the bounded
buffer holds it.
"""

import asyncio
import re
import secrets
from collections import deque
from collections.abc import Callable
from functools import partial

from only1mcp.backends.call import Cancel
from only1mcp.errors import InvalidRequest, Only1MCPError
from only1mcp.protocol.versions import Era
from only1mcp.proxy.answer import failure
from only1mcp.proxy.exchange import Answer, Exchange, Request
from only1mcp.proxy.peers import Peers
from only1mcp.sessions.session import Session

SINCE = "2025-11-25"
"""The first revision whose streams begin with an event id (SEP-1699)."""
MAX_EVENTS = 256
MAX_BYTES = 1024 * 1024
MAX_ENDED = 1000
MAX_ENDED_BYTES = 16 * 1024 * 1024
"""Streams of one worker that have ended, and what they hold: clients make as many as they like."""
_CALL, _SESSION = "c", "s"
RETAIN_S = 60.0
"""How long a stream waits for its client, and how long an ended one can be read again."""
_NUMBER = re.compile(r"[0-9]{1,18}")
Anew = Callable[[], Cancel]
"""Opens a new stream on the connection at hand."""


class Resumable:
    """Implements `Exchange` on top of one connection after another."""

    def __init__(self, replays: "Replays", serial: int, inner: Exchange, *, of_call: bool) -> None:
        self.serial = serial
        self.of_call = of_call
        """Whether it is to bring the answer to a request."""
        self.name = ""
        """Set once the stream has begun."""
        self.finished = False
        self.on_gone: Cancel = _nothing
        """Called when no connection has come back in time."""
        self._replays = replays
        self._inner: Exchange | None = inner
        self._count = 0
        self._events: deque[tuple[int, bytes]] = deque()
        self.held = 0
        """The bytes of its events."""
        self._timer: asyncio.TimerHandle | None = None

    def open(self) -> None:
        """Begin with an event that carries only an id."""
        if not self.name:
            self.name = self._replays.add(self)
            if self._inner is not None:
                self._inner.send(b"", self._event_id())

    def send(self, message: bytes, event_id: str | None = None) -> None:
        """Send a message, and keep it for a client that has to read it again."""
        del event_id
        self.open()
        self._keep(message)
        if self._inner is not None:
            self._inner.send(message, self._event_id())

    def answer(self, answer: Answer, event_id: str | None = None) -> None:
        """End with the answer: plain if the stream has not begun."""
        del event_id
        if not self.name:
            inner, self._inner = self._inner, None
            self.finished, self.on_gone = True, _nothing  # which may hold us
            assert inner is not None
            inner.answer(answer)
            return
        self._keep(answer.body)
        inner = self._finish()
        if inner is not None:
            inner.answer(answer, self._event_id())

    def end(self) -> None:
        """End without an answer.

        A client that is there has heard all: it comes back for a stream that goes on, so this one
        is forgotten.
        """
        inner = self._finish()
        if inner is not None:
            self._replays.remove(self)
            inner.end()

    def _finish(self) -> Exchange | None:
        """Keep the events for a while and nothing else; returns the connection, if there is one."""
        inner, self._inner = self._inner, None
        self.finished = True
        self.on_gone = _nothing
        self._retain()
        if self.name:
            self._replays.retire(self)
        return inner

    @property
    def connection(self) -> Exchange | None:
        """The connection that is in use."""
        return self._inner

    def detach(self, connection: Exchange | None) -> None:
        """A connection broke: if it is still in use, wait for the next one, for some time."""
        if connection is self._inner and connection is not None:
            self._inner = None
            if not self.finished:
                self._retain()

    def goes_on_after(self, seen: int) -> bool:
        """Say whether all that is of worth after an event is still here.

        That is the answer to a call, and every word of what tells a session of changes.
        """
        return self.of_call or not self._events or self._events[0][0] <= seen + 1

    def attach(self, exchange: Exchange, seen: int) -> None:
        """Go on on another connection, with what came after the event that was seen last."""
        if self._timer is not None:
            self._timer.cancel()
        before, self._inner = self._inner, exchange
        if before is not None and not self.finished:
            before.end()
        exchange.open()
        missed = [(number, data) for number, data in self._events if number > seen]
        for number, data in missed:
            exchange.send(data, self._event_id(number))
        if self.finished:
            self._inner = None
            exchange.end()
            self._retain()

    def _keep(self, data: bytes) -> None:
        self._count += 1
        self._events.append((self._count, data))
        self.held += len(data)
        while len(self._events) > MAX_EVENTS or (self.held > MAX_BYTES and len(self._events) > 1):
            self.held -= len(self._events.popleft()[1])

    def _event_id(self, number: int | None = None) -> str:
        return f"{self.name}-{self._count if number is None else number}"

    def _retain(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(RETAIN_S, self._expire)

    def forget(self) -> None:
        """Wait for nothing any more."""
        if self._timer is not None:
            self._timer.cancel()

    def _expire(self) -> None:
        self._replays.remove(self)
        on_gone, self.on_gone = self.on_gone, _nothing
        on_gone()


class Replays:
    """The streams of one worker that can be resumed."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._streams: dict[str, Resumable] = {}
        self._ended: dict[str, Resumable] = {}
        """Those of them that have ended, in that order."""
        self._ended_bytes = 0

    def __len__(self) -> int:
        return len(self._streams)

    def wrap(self, session: Session, request: Request, exchange: Exchange) -> Exchange:
        """Make a stream resumable, if the client's revision and its way in know how."""
        if request.channel is not None or session.version < SINCE:
            return exchange
        return Resumable(self, session.serial, exchange, of_call=bool(request.body))

    def keeper(self, stream: Exchange, give_up: Cancel) -> Cancel:
        """Return what to do when the client's connection breaks: wait for the next, or give up."""
        if not isinstance(stream, Resumable):
            return give_up
        if not stream.finished:
            stream.on_gone = give_up
        connection = stream.connection

        def broken() -> None:
            if stream.name:
                stream.detach(connection)
            else:
                stream.on_gone = _nothing  # which holds it
                give_up()

        return broken

    def add(self, stream: Resumable) -> str:
        """Make a stream known; returns its name."""
        name = f"{self._address}-{_CALL if stream.of_call else _SESSION}{secrets.token_hex(8)}"
        self._streams[name] = stream
        return name

    def remove(self, stream: Resumable) -> None:
        """Forget a stream."""
        self._streams.pop(stream.name, None)
        if self._ended.pop(stream.name, None) is not None:
            self._ended_bytes -= stream.held
        stream.forget()

    def retire(self, stream: Resumable) -> None:
        """Note that a stream has ended; of too many, those that did so first are forgotten."""
        self._ended[stream.name] = stream
        self._ended_bytes += stream.held
        while len(self._ended) > 1 and (
            len(self._ended) > MAX_ENDED or self._ended_bytes > MAX_ENDED_BYTES
        ):
            self.remove(next(iter(self._ended.values())))

    def resume(
        self, session: Session, request: Request, exchange: Exchange, peers: Peers, anew: Anew
    ) -> Cancel:
        """Go on with the stream that a request names; if it is gone, open another, if that will do.

        Raises:
            InvalidRequest: it is gone, and with it the answer that it was to bring.
        """
        name, _, number = (request.last_event_id or "").rpartition("-")
        address = name.rpartition("-")[0]
        if address not in ("", self._address) and not request.forwarded:
            return _Elsewhere(exchange, partial(_replace, name, anew)).start(
                address, request, peers
            )
        stream = self._streams.get(name)
        if (
            stream is not None and stream.serial == session.serial
            and _NUMBER.fullmatch(number) and stream.goes_on_after(int(number))
        ):  # fmt: skip
            stream.attach(exchange, int(number))
            return partial(stream.detach, exchange)
        if request.forwarded:  # whoever has the connection replaces the stream, if that will do
            raise InvalidRequest("this stream is not here")
        return _replace(name, anew)


def _replace(name: str, anew: Anew) -> Cancel:
    """Open another stream instead of one that is gone."""
    if name.rpartition("-")[2].startswith(_CALL):
        raise InvalidRequest("this stream is gone", hint="send the request again")
    return anew()


class _Elsewhere:
    """A stream that another worker goes on with; it is replaced if that worker has it no more."""

    def __init__(self, exchange: Exchange, replace: Anew) -> None:
        self._exchange = exchange
        self._replace = replace
        self._cancel: Cancel = _nothing

    def start(self, address: str, request: Request, peers: Peers) -> Cancel:
        self._cancel = peers.forward(address, request, self._exchange, self._on_gone)
        return self._stop

    def _stop(self) -> None:
        self._cancel()

    def _on_gone(self) -> None:
        try:
            self._cancel = self._replace()
        except Only1MCPError as error:
            self._exchange.answer(failure(None, error, Era.LEGACY))


def _nothing() -> None:
    """There is nothing to stop."""
