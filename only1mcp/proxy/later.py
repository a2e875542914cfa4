"""Requests that wait until what they need to know of the servers is known, or the wait is over."""

from collections.abc import Callable

from only1mcp.backends.call import NOTHING, Cancel
from only1mcp.errors import UnknownTarget
from only1mcp.protocol.inbound import Inbound
from only1mcp.protocol.methods import Kind
from only1mcp.protocol.versions import Era
from only1mcp.proxy.exchange import Exchange, Request
from only1mcp.proxy.learning import LEGACY
from only1mcp.proxy.outbound import client_features
from only1mcp.proxy.parts import Parts
from only1mcp.registry.edition import Edition
from only1mcp.registry.snapshot import Scope
from only1mcp.routing.router import route
from only1mcp.sessions.session import Session


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


def must_wait(parts: Parts, inbound: Inbound, session: Session | None, scope: Scope) -> bool:
    """Say whether a message needs what is yet to be found out."""
    if inbound.method is None or inbound.method.name == "ping":
        return False
    if inbound.era is Era.LEGACY and not parts.learning.knows(LEGACY):
        return True
    features = client_features(inbound, session)
    if features and not parts.learning.knows(str(int(features))):
        return True
    return not parts.edition.settled and _is_unsettled(parts.edition, inbound, scope)


def _is_unsettled(edition: Edition, inbound: Inbound, scope: Scope) -> bool:
    """Say whether a message needs servers that are yet to answer for the first time."""
    assert inbound.method is not None
    if inbound.method.kind is not Kind.TARGET:
        return True
    try:
        route(inbound, edition.view(NOTHING, scope))
    except UnknownTarget:
        return True
    return False
