"""The instances of the servers, by name, for whoever tells of them."""

from collections.abc import Iterator
from typing import Any

from only1mcp.memory.health_words import Health
from only1mcp.memory.instances import WHOLE, InstanceTable
from only1mcp.observability.instance_metrics import NamedInstance
from only1mcp.registry.server import Server, without_credentials

_STATES = ("closed", "open", "half_open")


class NamedInstances:
    """What is known of each instance of each server, where they are reckoned with one by one."""

    def __init__(self, table: InstanceTable, servers: tuple[Server, ...]) -> None:
        self.servers = servers
        self._table = table

    def __iter__(self) -> Iterator[NamedInstance]:
        for server in self.servers:
            if server.is_shared_out:
                for place in server.places:
                    known = self._table.known(server.id, place.url)
                    name = without_credentials(place.url)
                    yield NamedInstance(server.id, name, known, place.weight)


def describe(instance: NamedInstance, turn: dict[str, Any] | None, down: str) -> dict[str, Any]:
    """Return what a person is told of an instance.

    Args:
        instance: which.
        turn: what the health board heard last of its breaker: state, why.
        down: why it is down, if it is.
    """
    _, health, breaker, factor = instance.known.gauge.row[:4]
    state = _STATES[breaker >> 62]
    name = instance.name
    told: dict[str, Any] = {
        **({"url": name} if "://" in name else {"replica": int(name)}),
        "health": Health(health).name.lower(),
        "breaker": state,
        "in_flight": instance.known.gauge.load(),
        "weight": instance.weight,
        "weight_factor": (factor or WHOLE) / WHOLE,
        "latency_ms": instance.latency_s * 1000,
    }
    if down:
        told["why"] = down
    elif turn is not None and state != "closed":
        told["why"] = turn["why"]
    return told
