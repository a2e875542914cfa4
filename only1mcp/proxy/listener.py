"""One stream on which a client hears that something has changed, and in which words."""

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import orjson

from only1mcp.auth.principal import Principal
from only1mcp.backends.call import NOTHING, Cancel
from only1mcp.protocol import jsonrpc
from only1mcp.protocol.client_features import Feature
from only1mcp.protocol.progress import subscription_tagged
from only1mcp.protocol.subscriptions import FLAGS, KINDS, UPDATED, list_changed
from only1mcp.proxy.exchange import Exchange
from only1mcp.sessions.session import Session
from only1mcp.sessions.watch_book import Place

MAX_HELD = 1000


def _left() -> None:
    """Leave what nobody attends to."""


@dataclass(eq=False, slots=True)
class Listener:
    """A session's stream, or that of a modern subscription."""

    number: int
    exchange: Exchange
    principal: Principal
    """Who listens: of what does not exist for them they hear nothing."""
    session: Session | None = None
    subscription: bytes = b""
    """The id of a modern `subscriptions/listen`, as JSON."""
    kinds: frozenset[str] = KINDS
    uris: dict[str, str] = field(default_factory=dict)
    """The server that owns each watched resource."""
    tasks: dict[tuple[str, str], str] = field(default_factory=dict)
    """The client's id of each watched task, by its server and that one's id."""
    features: Feature = NOTHING
    """What its client can be asked, on which depends what servers offer it."""
    awaited: set[str] = field(default_factory=set)
    """Resources of which the host is yet to say that it hears of them."""
    held: list[bytes] | None = None
    """What is to be told once the subscription is acknowledged; None when it is."""
    timer: asyncio.TimerHandle | None = None
    """For what is to be told by itself: that it is acknowledged, or the rest of what was missed."""
    leave: Cancel = _left
    """Has servers ask the client elsewhere."""

    def allows(self, server_id: str) -> bool:
        """Say whether a server exists for who listens."""
        return self.principal.grant.allows_server(server_id)

    @property
    def caller(self) -> tuple[str, int]:
        """Who a modern client is, as far as that can be told."""
        return self.principal.id, int(self.features)

    def watches(self, server_id: str, uri: str) -> bool:
        """Say whether a subscription is about a server's resource, or one that it is a part of.

        Others may have one of the same name, which is hidden: it is not what was subscribed to.
        """
        return any(
            uri.startswith(watched) and server_id in ("", owner)
            for watched, owner in self.uris.items()
        )

    def tell(self, method: str, params: bytes) -> None:
        """Tell of something, once the subscription is acknowledged."""
        if self.subscription:
            params = subscription_tagged(params or b"{}", self.subscription)
        message = jsonrpc.notification(method, params)
        if self.held is None:
            self.exchange.send(message)
        elif len(self.held) < MAX_HELD:
            self.held.append(message)

    def acknowledgement(self) -> bytes:
        """Write what of a subscription is honoured."""
        honoured: dict[str, object] = {
            flag: True for flag, kind in FLAGS.items() if kind in self.kinds
        }
        if self.uris:
            honoured["resourceSubscriptions"] = list(self.uris)
        if self.tasks:
            honoured["taskIds"] = list(self.tasks.values())
        params = b'{"notifications":%b}' % orjson.dumps(honoured)
        tagged = subscription_tagged(params, self.subscription)
        return jsonrpc.notification("notifications/subscriptions/acknowledged", tagged)

    def all_that_changed(self, places: Iterable[Place]) -> Iterator[bytes]:
        """Write of all that may have changed while a session had no stream."""
        for kind in sorted(KINDS):
            yield jsonrpc.notification(list_changed(kind), b"")
        for server_id, uri in places:
            if self.allows(server_id):
                yield jsonrpc.notification(UPDATED, orjson.dumps({"uri": uri}))
