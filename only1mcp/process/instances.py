"""The instances of the servers, by name, for whoever tells of them."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from only1mcp.memory.health_words import Health
from only1mcp.memory.instances import WHOLE, InstanceTable
from only1mcp.observability.instance_metrics import NamedInstance
from only1mcp.registry.server import Server, without_credentials
from only1mcp.resilience import breaker
from only1mcp.resilience.breaker import State

_WHY_LENGTH = 80
"""Of a breaker's reason, in the line that speaks of a whole server."""


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
                    timeout_ms = server.breaker.timeout_ms
                    yield NamedInstance(server.id, name, known, place.weight, timeout_ms)


def describe(
    instance: NamedInstance, turn: dict[str, Any] | None, down: str, now_ms: int
) -> dict[str, Any]:
    """Return what a person is told of an instance.

    Args:
        instance: which.
        turn: what the health board heard last of its breaker: state, why.
        down: why it is down, if it is.
        now_ms: the time by which breakers go.
    """
    _, health, word, factor = instance.known.gauge.row[:4]
    found = breaker.read(word)
    state = found.state.name.lower()
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
    if found.state is State.OPEN:
        left_ms = found.since_ms + instance.breaker_timeout_ms - now_ms
        told["tried_again_in_s"] = round(max(left_ms, 0) / 1000, 1)
    if down:
        told["why"] = down
    elif turn is not None and state != "closed":
        told["why"] = turn["why"]
    return told


def breakers_of(server_id: str, described: Sequence[dict[str, Any]], *, gives_why: bool) -> str:
    """Return how breakers keep calls from a server, in words; none while all are closed.

    Where some instance takes calls it is enough to know how many do not.
    """
    states = Counter(one["breaker"] for one in described)
    closed = states.pop("closed", 0)
    if not states:
        return ""
    if closed:
        parts = (f"{state.replace('_', ' ')} at {count}" for state, count in states.items())
        return f"breaker {', '.join(parts)} of {len(described)} instances"
    if "half_open" in states:
        return "breaker half open: some calls try whether it answers again"
    first = min(described, key=lambda one: float(one["tried_again_in_s"]))
    why = str(first.get("why", "")).removeprefix(f"server {server_id} ")[:_WHY_LENGTH]
    because = f": {why}" if why and gives_why else ""
    left_s = first["tried_again_in_s"]
    again = f"in {left_s:.0f} s" if left_s else "with the next call"
    return f"breaker open{because}; tried again {again}"
