"""What is sent to a backend, and who hears of its end."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import orjson

from only1mcp._speedups import Envelope
from only1mcp.errors import Only1MCPError
from only1mcp.protocol.client_features import Feature
from only1mcp.protocol.task_members import OWN_ID, RELATED, RELATED_ID, id_at
from only1mcp.protocol.versions import Era

Cancel = Callable[[], None]
NOTHING = Feature(0)
METHOD_NOT_FOUND = -32601


@dataclass(slots=True)
class Outgoing:
    """One request to a backend."""

    method: str
    params: bytes
    """A JSON object in the form of `era`, or empty."""
    era: Era
    target: str | None = None
    """The backend's own name of the target, for the Mcp-Name header."""
    safe: bool = False
    """Whether it may be sent again when nobody knows if it ran."""
    features: Feature = NOTHING
    """What a legacy server may ask of the client meanwhile."""
    session: int = 0
    """The serial of the client's legacy session; 0 when it has none."""
    principal: str = ""
    """The id of who calls; empty where anyone may."""
    token: bytes | None = None
    """The progress token in `params`: no other call of ours under way has the same."""
    level: int | None = None
    """The severity from which on the client wants log messages; None when it never said."""
    headers: tuple[tuple[str, str], ...] = ()
    """Headers that the target asks for, for HTTP legs (`x-mcp-header`)."""
    own: bool = False
    """Whether it must travel on the connection that is this session's own, as tasks do."""
    place: str = ""
    """The instance to ask, of a server with several; where a task has begun, it is noted here."""
    timed_out: bool = False
    """Whether it was given up because there was no answer, and not because nobody wants it."""


Respond = Callable[[bytes], None]
"""Takes the answer to a server's request: the member `"result":…` or `"error":…`."""


OnRequest = Callable[[Envelope, Respond], None]
"""Takes a server's request, and how to answer it."""


class ReplySink(Protocol):
    """Hears of a call: messages on its way, then its end, exactly once.

    It hears nothing any more after the call was cancelled.
    """

    def on_message(self, message: Envelope) -> None:
        """Take a notification that concerns the call: progress, a log message."""

    def on_request(self, message: Envelope, respond: Respond) -> None:
        """Take a request that a legacy server makes of the client."""

    def on_reply(self, reply: Envelope) -> None:
        """Take the backend's response, be it a result or an error."""

    def on_failure(self, error: Only1MCPError) -> None:
        """Learn that there will be no response."""


class PassingSink:
    """Passes on all that it hears; derived classes say what else happens then.

    They set `sink` themselves: one is made for each call, and runs no initializer but its own.
    """

    __slots__ = ()
    sink: ReplySink
    """Whom it passes on to."""

    def on_message(self, message: Envelope) -> None:
        """Pass on what comes before the end."""
        self.sink.on_message(message)

    def on_request(self, message: Envelope, respond: Respond) -> None:
        """Pass on a question."""
        self.sink.on_request(message, respond)

    def on_reply(self, reply: Envelope) -> None:
        """Pass on the response."""
        self.sink.on_reply(reply)

    def on_failure(self, error: Only1MCPError) -> None:
        """Pass on the failure."""
        self.sink.on_failure(error)


Send = Callable[[Outgoing, ReplySink], Cancel]
"""Sends a request; the function that it returns abandons it."""


class Backend(Protocol):
    """One server as a worker reaches it."""

    def call(self, outgoing: Outgoing, sink: ReplySink) -> Cancel:
        """Send a request; the returned function abandons it."""

    async def close(self) -> None:
        """End what is open towards the server."""


def awaited_task(outgoing: Outgoing) -> str | None:
    """Return the task whose result a request waits for (2025-11-25, basic/utilities/tasks)."""
    return id_at(outgoing.params, OWN_ID) if outgoing.method == "tasks/result" else None


def related_task(message: Envelope) -> str | None:
    """Return the task that a server's question belongs to; it is asked with the task's result."""
    params: bytes = message.body[message.params_start : message.params_end]
    return id_at(params, RELATED_ID) if RELATED.encode() in params else None


def refusal(message: Envelope) -> bytes:
    """Answer a server's request of its client that nobody is there for; a ping is answered."""
    if message.method == "ping":
        return b'"result":{}'
    text = f"there is no client that could answer {message.method}"
    return b'"error":%b' % orjson.dumps({"code": METHOD_NOT_FOUND, "message": text})


def refuse(message: Envelope, respond: Respond) -> None:
    """Implement `OnRequest` where there is no client."""
    respond(refusal(message))


class FutureSink:
    """Lets a coroutine wait for a call."""

    def __init__(self) -> None:
        self._future: asyncio.Future[Envelope] = asyncio.get_running_loop().create_future()

    def on_message(self, message: Envelope) -> None:
        """Let it pass: nobody looks on."""

    def on_request(self, message: Envelope, respond: Respond) -> None:
        """Refuse: there is no client behind our own requests."""
        respond(refusal(message))

    def on_reply(self, reply: Envelope) -> None:
        """Wake the waiter with the response."""
        if not self._future.done():
            self._future.set_result(reply)

    def on_failure(self, error: Only1MCPError) -> None:
        """Wake the waiter with the failure."""
        if not self._future.done():
            self._future.set_exception(error)

    @property
    def has_ended(self) -> bool:
        """Whether there is a response, or a failure."""
        return self._future.done()

    async def ends_within(self, timeout_s: float) -> bool:
        """Wait for some time; say whether the call has ended. It goes on if not."""
        await asyncio.wait([self._future], timeout=timeout_s)
        return self.has_ended

    def forget(self) -> None:
        """Let nobody wait any more; a failure that nobody has asked for is no mistake."""
        if not self._future.cancel() and not self._future.cancelled():
            self._future.exception()

    async def wait(self, timeout_s: float | None) -> Envelope:
        """Return the response.

        Raises:
            TimeoutError: none came in time.
            Only1MCPError: the call failed.
        """
        async with asyncio.timeout(timeout_s):
            return await self._future


async def ask(send: Send, outgoing: Outgoing) -> Envelope:
    """Send a request in our own name and return the response; who waits no more abandons it.

    Raises:
        Only1MCPError: the call failed.
    """
    sink = FutureSink()
    cancel = send(outgoing, sink)
    try:
        return await sink.wait(None)
    except asyncio.CancelledError:
        cancel()
        raise
