"""A request that waits until more is known."""

from only1mcp.backends.call import Cancel
from only1mcp.protocol.headers import McpHeaders
from only1mcp.proxy.exchange import Exchange, Request
from only1mcp.proxy.later import Later
from only1mcp.registry.edition import Edition
from only1mcp.registry.registry import Registry
from tests.support.told import Told


class Waiting:
    """A request that waits, and what handles it."""

    def __init__(self) -> None:
        self.edition = Edition(Registry([]), 10)
        self.request = Request(McpHeaders(), b"{}", "")
        self.told = Told()
        self.handled: list[tuple[Request, Exchange]] = []
        self.cancelled = 0
        self.cancel = Later(self._handle, self.request, self.told).start(self.edition)

    def _handle(self, request: Request, exchange: Exchange) -> Cancel:
        self.handled.append((request, exchange))
        return self._cancel

    def _cancel(self) -> None:
        self.cancelled += 1


def test_it_is_handled_once_as_soon_as_more_is_known() -> None:
    """With the very same request and the same place for the answer."""
    waiting = Waiting()
    assert waiting.handled == []
    waiting.edition.settle()
    waiting.edition.tell_waiting()
    assert waiting.handled == [(waiting.request, waiting.told)]


def test_who_leaves_while_it_waits_is_not_handled() -> None:
    """There is nothing to cancel yet."""
    waiting = Waiting()
    waiting.cancel()
    waiting.cancel()
    waiting.edition.settle()
    assert (waiting.handled, waiting.cancelled) == ([], 0)


def test_who_leaves_later_cancels_what_came_of_it() -> None:
    """The same function does both."""
    waiting = Waiting()
    waiting.edition.settle()
    waiting.cancel()
    assert waiting.cancelled == 1
