"""A request that waits until every server has answered or failed once, or the wait is over."""

from collections.abc import Callable

from only1mcp.backends.call import Cancel
from only1mcp.proxy.exchange import Exchange, Request
from only1mcp.registry.edition import Edition


class Later:
    """Handles a request again once the servers are known."""

    def __init__(
        self, handle: Callable[[Request, Exchange], Cancel], request: Request, exchange: Exchange
    ) -> None:
        self._handle = handle
        self._args = (request, exchange)
        self._cancel: Cancel = lambda: None

    def start(self, edition: Edition) -> Cancel:
        """Begin to wait; the returned function ends the wait, or what came after it."""
        self._cancel = edition.when_known(self._run)
        return self._stop

    def _stop(self) -> None:
        self._cancel()

    def _run(self) -> None:
        self._cancel = self._handle(*self._args)
