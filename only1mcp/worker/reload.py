"""Swaps what a worker serves for what other settings say, between two events of its loop.

What did not change is kept: the session with a server, its connections, its catalogue, and every
client. A call that is under way keeps the ways that it began with; what was removed ends after it.
"""

from dataclasses import replace

from only1mcp.backends.call import Backend
from only1mcp.backends.host_link import LinkedBackend
from only1mcp.backends.http_backend import HttpBackend
from only1mcp.config.settings import Settings
from only1mcp.registry.registry import Registry
from only1mcp.registry.server import Server
from only1mcp.tasks import until
from only1mcp.worker.fast_lane import LONGEST_S
from only1mcp.worker.room import room_for
from only1mcp.worker.wiring import Graph, make_backend, make_lines

LANE_LOOK_S = 0.1


def follow(graph: Graph, settings: Settings) -> None:
    """Work by other settings from now on."""
    before, old = graph.settings, graph.backends
    backends = {server.id: _backend(graph, server) for server in settings.servers}
    graph.parts.means = replace(
        graph.parts.means,
        backends=make_lines(settings, backends),
        hosted={server.id: LinkedBackend(server.id, graph.link) for server in settings.servers},
        timeouts_s={server.id: server.timeout_s for server in settings.servers},
    )
    graph.settings, graph.backends = settings, backends
    graph.connections.limit, graph.connections.by_files = room_for(settings)
    graph.origins.follow((*settings.allowed_hosts, settings.host), settings.allowed_origins)
    graph.recorder.follow(settings.slots)
    graph.asides.follow(settings.slot_of)
    if graph.parts.cache is not None:
        graph.parts.cache.follow(settings.cache, settings.servers, settings.slot_of)
    graph.service.follow(settings)
    come = graph.parts.edition.follow(Registry(settings.servers), settings.page_size)
    graph.parts.access.follow(settings.keys, settings.rate, settings.client_places)
    if graph.lane is not None:
        graph.lane.follow(settings)
    graph.audience.changed(come, None)
    if (before.keys, before.rate) != (settings.keys, settings.rate):
        graph.audience.admit_again(graph.parts.access.check)
    for server in before.servers:
        backend = old[server.id]
        if isinstance(backend, HttpBackend) and backends.get(server.id) is not backend:
            graph.tasks.spawn(_retire(graph, backend, backends.get(server.id)))


def _backend(graph: Graph, server: Server) -> Backend:
    """Return the way to a server: the one that there was, if it is the same."""
    before = graph.backends.get(server.id)
    if before is not None and server in graph.settings.servers:
        return before
    return make_backend(server, graph.outfit, before)


async def _retire(graph: Graph, backend: HttpBackend, successor: Backend | None) -> None:
    """Let calls end, those in the fast lane too, before the session is ended that they are on."""
    lane = graph.lane
    if lane is not None:
        used = lane.is_used
        await until(lambda: not any(map(used, backend.sessions)), LONGEST_S, LANE_LOOK_S)
    heir = successor if isinstance(successor, HttpBackend) else None
    await backend.retire(heir, LONGEST_S)
