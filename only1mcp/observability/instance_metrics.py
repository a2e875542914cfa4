"""Metrics of the instances of servers, from the words that all processes share."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from only1mcp.memory.health_words import Health
from only1mcp.memory.instances import FACTOR, HEALTH, LATENCY, WHOLE, Known
from only1mcp.observability.exposition import Family


@dataclass(frozen=True, slots=True)
class NamedInstance:
    """An instance, and what it is called."""

    server_id: str
    name: str
    """Its address, without credentials; the number of a process."""
    known: Known
    weight: int = 1
    """As it is configured."""
    breaker_timeout_ms: int = 0
    """How long its breaker is open before it is tried again."""

    @property
    def weight_now(self) -> float:
        """What it counts for, by how it has served, if weights are adjusted."""
        return self.weight * (self.known.gauge.row[FACTOR] or WHOLE) / WHOLE

    @property
    def latency_s(self) -> float:
        """How long calls take there, the latest more than what was long ago; 0 when not known."""
        return self.known.gauge.row[LATENCY] / 1e6


class InstanceMetrics:
    """A collector of what is known of each instance."""

    def __init__(self, instances: Iterable[NamedInstance]) -> None:
        self._instances = instances

    def collect(self) -> Iterator[Family]:
        """Yield every metric family."""
        labels = ("server_id", "instance")
        breakers = Family(
            "gauge",
            "only1mcp_circuit_breaker_state",
            "0 while an instance gets calls, 1 while it gets none, 2 while it is tried.",
            labels,
        )
        loads = Family(
            "gauge", "only1mcp_instance_in_flight", "Calls under way at an instance.", labels
        )
        ups = Family(
            "gauge", "only1mcp_instance_up", "0 when its health checks fail, else 1.", labels
        )
        weights = Family(
            "gauge",
            "only1mcp_instance_weight",
            "The share of the calls that an instance gets, compared with others of its server.",
            labels,
        )
        latencies = Family(
            "gauge",
            "only1mcp_instance_latency_seconds",
            "How long calls to an instance take, the latest ones counting most.",
            labels,
        )
        for one in self._instances:
            breakers.add([one.server_id, one.name], one.known.breaker >> 62)
            is_down = one.known.gauge.row[HEALTH] == Health.DOWN
            ups.add([one.server_id, one.name], int(not is_down))
            loads.add([one.server_id, one.name], one.known.gauge.load())
            weights.add([one.server_id, one.name], one.weight_now)
            latencies.add([one.server_id, one.name], one.latency_s)
        yield from (breakers, loads, ups, weights, latencies)
