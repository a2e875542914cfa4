"""Which of several servers' answers a client gets, when none of them has what it wants. Pure."""

import enum
from dataclasses import dataclass

from only1mcp._speedups import Envelope
from only1mcp.errors import MethodNotFound, Only1MCPError
from only1mcp.protocol.translate import INVALID_PARAMS, RESOURCE_NOT_FOUND_LEGACY, error_code
from only1mcp.proxy.exchange import Answer


class Worth(enum.IntEnum):
    """How much a failed attempt says about what was asked for."""

    UNKNOWN = 0
    """The server does not have it."""
    FOREIGN = 1
    """The server does not do such things at all."""
    FAILED = 2
    """The server could not be asked, and may have it."""
    REFUSED = 3
    """The server has something else to say of it."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """How one server failed to serve a request."""

    worth: Worth
    asked: int
    """The server's place in the route."""
    outcome: Answer | Only1MCPError
    status: str
    """For metrics."""


def worth_of(reply: Envelope) -> Worth:
    """Return the worth of an error that a server answered."""
    code = error_code(reply.body[reply.error_start : reply.error_end])
    if code in (RESOURCE_NOT_FOUND_LEGACY, INVALID_PARAMS):
        return Worth.UNKNOWN
    return Worth.FOREIGN if code == MethodNotFound.code else Worth.REFUSED
