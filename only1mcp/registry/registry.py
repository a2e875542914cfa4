"""The set of declared servers: add, remove, get, list.

Readers take one reference to an immutable mapping and never wait; writers are serialised and swap
the whole mapping, so that every reader sees all of a change or none of it.
"""

import threading
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from only1mcp.registry.server import Server


class DuplicateServer(ValueError):
    """A server with this id is registered already."""


class ServerNotFound(KeyError):
    """No server with this id is registered."""


class Registry:
    """Servers by id, in the order in which they were added."""

    def __init__(self, servers: Iterable[Server] = ()) -> None:
        self._lock = threading.Lock()
        self._servers: dict[str, Server] = {}
        self.generation = 0
        """Grows by one with every change."""
        for server in servers:
            self.add(server)

    @property
    def servers(self) -> Mapping[str, Server]:
        """The current edition; it never changes, a change makes a new one."""
        return MappingProxyType(self._servers)

    def get(self, server_id: str) -> Server:
        """Return one server.

        Raises:
            ServerNotFound: there is none with this id.
        """
        try:
            return self._servers[server_id]
        except KeyError:
            raise ServerNotFound(server_id) from None

    def list(self) -> list[Server]:
        """Return all servers in order."""
        return list(self._servers.values())

    def add(self, server: Server) -> None:
        """Add a server at the end.

        Raises:
            DuplicateServer: its id is taken.
        """
        with self._lock:
            if server.id in self._servers:
                raise DuplicateServer(server.id)
            self._servers = {**self._servers, server.id: server}
            self.generation += 1

    def remove(self, server_id: str) -> Server:
        """Remove a server and return it.

        Raises:
            ServerNotFound: there is none with this id.
        """
        with self._lock:
            if server_id not in self._servers:
                raise ServerNotFound(server_id)
            servers = dict(self._servers)
            removed = servers.pop(server_id)
            self._servers = servers
            self.generation += 1
            return removed
