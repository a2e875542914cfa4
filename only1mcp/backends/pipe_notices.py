"""Whose a notification is on a channel of lines, where it comes beside all others. Pure."""

from dataclasses import dataclass

from only1mcp._speedups import Envelope
from only1mcp.backends.call import FutureSink, ReplySink
from only1mcp.backends.multiplexer import Multiplexer
from only1mcp.protocol.progress import token_of


@dataclass(frozen=True, slots=True)
class Waiting:
    """A call under way."""

    sink: ReplySink
    token: bytes | None
    level: int | None
    task: str | None = None
    """The task whose result it waits for."""


def is_of_client(waiting: Waiting) -> bool:
    """Say whether it is a client's call, not a request of our own."""
    return not isinstance(waiting.sink, FutureSink)


def recipient(calls: Multiplexer[Waiting], message: Envelope, *, modern: bool) -> Waiting | None:
    """Return the call that a notification belongs to, if it can be told.

    A log message names none: it can only be that of the only client's call. Nothing is lost to a
    request of our own, as a health check, that is under way beside it.

    Args:
        calls: those under way.
        message: the notification.
        modern: whether calls say themselves that they want log messages.
    """
    if message.method == "notifications/progress":
        token = token_of(message.body[message.params_start : message.params_end])
        return calls.find(lambda entry: entry.token is not None and entry.token == token)
    if message.method == "notifications/message":
        return calls.only(_has_level if modern else is_of_client)
    return None


def _has_level(waiting: Waiting) -> bool:
    return waiting.level is not None
