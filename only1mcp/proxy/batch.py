"""Batches of clients (2025-03-26, basic, Batching): each member is a request on a way of its own.

The answers come back as one array. Over HTTP they come as a stream once any member has more to say
than its answer, each as soon as it is there; a channel is a stream anyway, and gets the array.
"""

from collections.abc import Callable
from dataclasses import replace

from only1mcp._speedups import BATCH, REQUEST, Envelope, elements, scan
from only1mcp.backends.call import Cancel
from only1mcp.errors import InvalidRequest, Only1MCPError, Overloaded
from only1mcp.protocol.jsonrpc import as_string
from only1mcp.proxy.answer import ACCEPTED
from only1mcp.proxy.exchange import Answer, Exchange, Request
from only1mcp.sessions.session import Session

REVISION = "2025-03-26"
"""The only one that has batches."""
HINT = "send one message per request"
MAX_MEMBERS = 100
MAX_UNDER_WAY = 10_000
"""Members of all batches of one worker that are not answered yet: a body of some bytes is a whole
request, and no connection or body's size bounds how many are sent."""
MAX_HELD_BYTES = 1024 * 1024
"""Answers of one batch that wait for the others; more of them are passed on."""


def check_member(envelope: Envelope) -> None:
    """Refuse what may not be part of a batch.

    Raises:
        InvalidRequest: it may not.
    """
    if envelope.kind == BATCH:
        raise InvalidRequest("a batch may not hold another one")
    if envelope.method == "initialize":
        raise InvalidRequest("initialize may not be part of a batch", hint="send it by itself")
    if envelope.version_start:
        raise InvalidRequest("2026-07-28 has no batches", hint=HINT)


class Batches:
    """Takes the batches of one worker apart.

    Args:
        handle: takes each member.
        most: members of one batch.
    """

    def __init__(self, handle: Callable[[Request, Exchange], Cancel], most: int) -> None:
        self.handle = handle
        self.under_way = 0
        """Members that are not answered yet."""
        self._most = most

    def take(self, request: Request, session: Session, exchange: Exchange) -> Cancel:
        """Send each member on its way; the returned function cancels them all.

        Raises:
            InvalidRequest: it is no batch that this client may send; none of its members runs.
            Overloaded: too many are under way.
        """
        if session.version != REVISION:
            raise InvalidRequest(f"{session.version} has no batches", hint=HINT)
        bodies = self._split(request.body)
        if self.under_way + len(bodies) > MAX_UNDER_WAY:
            raise Overloaded("too many members of batches are under way")
        return _Batch(self, exchange, bodies, streams=request.channel is None).start(request)

    def _split(self, body: bytes) -> list[bytes]:
        spans = elements(body, 0, self._most + 1)
        if not spans:
            raise InvalidRequest("a batch must not be empty")
        if len(spans) > self._most:
            raise InvalidRequest(
                f"a batch may have {self._most} members",
                hint="send several batches; `proxy.limits.max_batch` bounds them",
            )
        bodies = [body[start:end] for start, end in spans]
        _check_ids(bodies)
        return bodies


def _check_ids(bodies: list[bytes]) -> None:
    """Refuse a batch whose answers could not be told apart, before any of it runs."""
    seen: set[str | bytes] = set()
    for body in bodies:
        try:
            envelope = scan(body)
        except Only1MCPError:  # it is told so on its own way
            continue
        if envelope.kind != REQUEST or envelope.id is None:
            continue
        said: str | bytes = as_string(envelope.id) or envelope.id
        if said in seen:
            raise InvalidRequest(f"two requests of the batch have the id {envelope.id.decode()}")
        seen.add(said)


class _Batch:
    """One batch, until all of its members are answered."""

    def __init__(
        self, batches: Batches, exchange: Exchange, bodies: list[bytes], *, streams: bool
    ) -> None:
        self._batches = batches
        self._exchange = exchange
        self._bodies = bodies
        self._may_stream = streams
        self._is_stream = False
        """Whether each answer is sent as soon as it is there."""
        self._left = len(bodies)
        self._members: list[_Member] = []
        self._answers: list[bytes] = []
        self._held = 0
        self._has_sent = False
        """Whether answers have been sent already."""

    def start(self, request: Request) -> Cancel:
        """Hand out the members."""
        self._batches.under_way += self._left
        for body in self._bodies:
            member = _Member(self)
            self._members.append(member)
            own = replace(request, body=body, of_batch=True)
            member.cancel = self._batches.handle(own, member)
        self._bodies = []
        return self._stop

    def _stop(self) -> None:
        """Cancel what is not answered yet: the client has gone."""
        self._batches.under_way -= self._left
        self._left = 0
        for member in self._members:
            member.cancel()

    def open(self) -> None:
        """Begin the stream, with the answers that are there."""
        if self._may_stream and not self._is_stream:
            self._is_stream = True
            self._exchange.open()
            self._flush()

    def send(self, message: bytes) -> None:
        """Pass on a message of a member."""
        self.open()
        self._exchange.send(message)

    def answered(self, body: bytes) -> None:
        """Take the answer of a member; a notification has none."""
        if not self._left:
            return
        self._left -= 1
        self._batches.under_way -= 1
        if body:
            self._answers.append(body)
            self._held += len(body)
        if self._held > MAX_HELD_BYTES:
            self.open()
        if self._is_stream or self._held > MAX_HELD_BYTES:
            self._flush()
        if not self._left:
            self._end()

    def _flush(self) -> None:
        """Send the answers that are there."""
        answers, self._answers, self._held = self._answers, [], 0
        if answers:
            self._has_sent = True
            for message in answers if self._is_stream else [_array(answers)]:
                self._exchange.send(message)

    def _end(self) -> None:
        if self._answers:
            members = tuple(self._answers)
            self._exchange.answer(Answer(200, _array(self._answers), members=members))
        elif self._is_stream or self._has_sent:
            self._exchange.end()
        else:
            self._exchange.answer(ACCEPTED)


class _Member:
    """Implements `Exchange` for one member."""

    def __init__(self, batch: _Batch) -> None:
        self.cancel: Cancel = _nothing
        self._batch = batch

    def open(self) -> None:
        """Begin the stream that all members share."""
        self._batch.open()

    def send(self, message: bytes, event_id: str | None = None) -> None:
        """Send a message on it: no stream of this revision can be resumed."""
        del event_id
        self._batch.send(message)

    def answer(self, answer: Answer, event_id: str | None = None) -> None:
        """Hand in the answer."""
        del event_id
        self._batch.answered(answer.body)

    def end(self) -> None:
        """End without one."""
        self._batch.answered(b"")


def _array(messages: list[bytes]) -> bytes:
    return b"[%b]" % b",".join(messages)


def _nothing() -> None:
    """There is nothing to cancel."""
