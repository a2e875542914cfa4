"""The other processes of the gateway, as the path of a request sees them, in memory."""

from collections.abc import Callable
from dataclasses import dataclass

from only1mcp.backends.call import Cancel
from only1mcp.proxy.exchange import Exchange, Request
from only1mcp.sessions.session import Session


@dataclass(slots=True)
class Forwarded:
    """A request that was passed on to another worker."""

    address: str
    request: Request
    exchange: Exchange
    on_gone: Callable[[], None]
    cancelled: bool = False


class FakePeers:
    """Implements `only1mcp.proxy.peers.Peers`; remembers."""

    def __init__(self, address: str = "1.0") -> None:
        self.address = address
        self.forwarded: list[Forwarded] = []
        self.told: list[Request] = []

    def forward(
        self, address: str, request: Request, exchange: Exchange, on_gone: Callable[[], None]
    ) -> Cancel:
        """Take a request for another worker."""
        entry = Forwarded(address, request, exchange, on_gone)
        self.forwarded.append(entry)

        def cancel() -> None:
            entry.cancelled = True

        return cancel

    def tell_others(self, request: Request) -> None:
        """Take a message for all others."""
        self.told.append(request)


class FakeWatcher:
    """Implements `only1mcp.proxy.audience.Watcher`; remembers."""

    def __init__(self) -> None:
        self.on_watch: Callable[[str, str, int, bool], None] = _unheard
        """Hears at once of each watch that it is honoured."""
        self.subscriptions: dict[int, list[tuple[str, str]]] = {}
        self.watched: list[tuple[str, str, int]] = []
        self.unwatched: list[tuple[str, str, int]] = []
        self.watched_tasks: list[tuple[str, str, int]] = []
        self.unwatched_tasks: list[tuple[str, str, int]] = []
        self.attended: list[tuple[int, Callable[[bytes], None], Callable[[str], bool]]] = []
        self.left: list[int] = []

    def watch(self, server_id: str, uri: str, holder: int, caller: tuple[str, int]) -> None:
        """Note that a resource is watched."""
        del caller
        self.watched.append((server_id, uri, holder))
        self.on_watch(server_id, uri, holder, True)

    def unwatch(self, server_id: str, uri: str, holder: int) -> None:
        """Note that it is not any more."""
        self.unwatched.append((server_id, uri, holder))

    def subscribed(self, serial: int) -> list[tuple[str, str]]:
        """Return what a test has a session watch."""
        return self.subscriptions.get(serial, [])

    def watch_task(self, server_id: str, task_id: str, holder: int) -> None:
        """Note that a task is watched."""
        self.watched_tasks.append((server_id, task_id, holder))

    def unwatch_task(self, server_id: str, task_id: str, holder: int) -> None:
        """Note that it is not any more."""
        self.unwatched_tasks.append((server_id, task_id, holder))

    def attend(
        self, session: Session, send: Callable[[bytes], None], allows: Callable[[str], bool]
    ) -> Cancel:
        """Note whose stream servers may ask on, and when that ends."""
        self.attended.append((session.serial, send, allows))
        return lambda: self.left.append(session.serial)


def _unheard(server_id: str, uri: str, holder: int, honoured: bool) -> None:
    """Nobody waits for it."""
