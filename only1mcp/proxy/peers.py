"""The other workers, as far as the path of a request needs them."""

from collections.abc import Callable
from typing import Protocol

from only1mcp.backends.call import Cancel
from only1mcp.proxy.exchange import Exchange, Request


class Peers(Protocol):
    """Reaches the worker that holds what a request concerns."""

    address: str
    """This worker's own address."""

    def forward(
        self, address: str, request: Request, exchange: Exchange, on_gone: Callable[[], None]
    ) -> Cancel:
        """Let another worker answer; `on_gone` is called when there is no such worker (any more).

        A request without a body is the opening of a session's stream.
        """

    def tell_others(self, request: Request) -> None:
        """Let every other worker take a message that has no answer."""
