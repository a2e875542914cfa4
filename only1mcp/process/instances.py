"""The instances of the servers, by name, for whoever tells of them."""

from collections.abc import Iterator
from typing import Any

from only1mcp.memory.health_words import Health
from only1mcp.memory.instances import InstanceTable
from only1mcp.observability.instance_metrics import NamedInstance
from only1mcp.registry.server import Server, without_credentials

_STATES = ("closed", "open", "half_open")
_WHOLE = 1000


class NamedInstances:
    """What is known of each instance of each server over HTTP."""

    def __init__(self, table: InstanceTable, servers: tuple[Server, ...]) -> None:
        self.servers = servers
        self._table = table

    def __iter__(self) -> Iterator[NamedInstance]:
        for server in self.servers:
            if server.transport == "http":
                for place in server.instances:
                    known = self._table.known(server.id, place.url)
                    yield NamedInstance(server.id, without_credentials(place.url), known)


def describe(instance: NamedInstance, turn: dict[str, Any] | None, down: str) -> dict[str, Any]:
    """Return what a person is told of an instance.

    Args:
        instance: which.
        turn: what the health board heard last of its breaker: state, why.
        down: why it is down, if it is.
    """
    _, health, breaker, factor, latency = instance.known.gauge.row[:5]
    state = _STATES[breaker >> 62]
    told: dict[str, Any] = {
        "url": instance.name,
        "health": Health(health).name.lower(),
        "breaker": state,
        "in_flight": instance.known.gauge.load(),
        "weight_factor": (factor or _WHOLE) / _WHOLE,
        "latency_ms": latency / 1000,
    }
    if down:
        told["why"] = down
    elif turn is not None and state != "closed":
        told["why"] = turn["why"]
    return told
