"""The same refusal for many requests, written once for the compiled lane."""

from typing import Any

from only1mcp._speedups import Refusal
from only1mcp.errors import CircuitOpen, Only1MCPError
from only1mcp.ingress.fast_exchange import whole
from only1mcp.protocol.versions import Era
from only1mcp.proxy.answer import failure


def refusal(error: Only1MCPError, slots: dict[str, int], other: int) -> Any:
    """Return how the lane refuses requests for one reason.

    Args:
        error: the reason.
        slots: where a refused request is counted, by its method.
        other: where one of another method is.
    """
    pieces: list[bytes] = []
    for era in (Era.LEGACY, Era.MODERN):
        for closes in (False, True):
            answer = whole(failure(b"0", error, era), closes=closes)
            head, length, body = answer.partition(b"Content-Length: ")
            pieces += [head + length, body[body.index(b',"error"') :]]
    return Refusal(tuple(pieces), slots, other)


def shut(server_id: str, slot: int, left_s: int) -> Any:
    """Return how calls are refused that an open breaker keeps from a server for so many seconds."""
    return refusal(CircuitOpen.of(server_id, left_s), {}, slot)
