"""What the host tells a worker that concerns no call, and the other way round."""

from typing import Any

from only1mcp.backends.host_link import HostLink
from only1mcp.proxy.audience import Audience
from only1mcp.registry.edition import Edition


class Events:
    """Brings the host's events to those who wait for them."""

    def __init__(self, edition: Edition) -> None:
        self._edition = edition
        self.audience: Audience | None = None
        """Set once it is made: it needs the link that these events come from."""

    def take(self, event: dict[str, Any]) -> None:
        """Take one event."""
        audience = self.audience
        if event.get("settled"):
            self._edition.settle()
        elif audience is None:
            return
        elif "changed" in event:
            audience.changed(frozenset(event["changed"]))
        elif "updated" in event:
            serials = frozenset(event["sessions"])
            audience.updated(event["updated"], event["params"].encode(), serials)
        elif "logged" in event:
            audience.logged(event["logged"].encode())

    def rewatch(self) -> None:
        """Tell a host that has just come what our streams watch."""
        if self.audience is not None:
            self.audience.rewatch()


class HostWatcher:
    """Implements `only1mcp.proxy.audience.Watcher` over the link to the host."""

    def __init__(self, link: HostLink) -> None:
        self._link = link

    def watch(self, server_id: str, uri: str, holder: int) -> None:
        """Have a resource watched for one of our streams."""
        self._link.note({"watch": [server_id, uri, holder]})

    def unwatch(self, server_id: str, uri: str, holder: int) -> None:
        """Take that back."""
        self._link.note({"unwatch": [server_id, uri, holder]})
