"""Metrics of the instances of servers, from the words that all processes share."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from only1mcp.memory.health_words import Health
from only1mcp.memory.instances import HEALTH, Known


@dataclass(frozen=True, slots=True)
class NamedInstance:
    """An instance, and what it is called."""

    server_id: str
    name: str
    """Its address, without credentials."""
    known: Known


class InstanceMetrics(Collector):
    """A collector of prometheus_client."""

    def __init__(self, instances: Iterable[NamedInstance]) -> None:
        self._instances = instances

    def collect(self) -> Iterator[Metric]:
        """Yield every metric family."""
        labels = ["server_id", "instance"]
        breakers = GaugeMetricFamily(
            "only1mcp_circuit_breaker_state",
            "0 while an instance gets calls, 1 while it gets none, 2 while it is tried.",
            labels=labels,
        )
        loads = GaugeMetricFamily(
            "only1mcp_instance_in_flight", "Calls under way at an instance.", labels=labels
        )
        ups = GaugeMetricFamily(
            "only1mcp_instance_up", "0 when its health checks fail, else 1.", labels=labels
        )
        for one in self._instances:
            breakers.add_metric([one.server_id, one.name], one.known.breaker >> 62)
            is_down = one.known.gauge.row[HEALTH] == Health.DOWN
            ups.add_metric([one.server_id, one.name], int(not is_down))
            loads.add_metric([one.server_id, one.name], one.known.gauge.load())
        yield from (breakers, loads, ups)
