"""Which instance gets a call, and what its end means to the next ones."""

import pytest

from only1mcp.backends.call import Outgoing
from only1mcp.backends.instances import Chosen, Instances
from only1mcp.errors import BackendUnreachable, CircuitOpen
from only1mcp.memory.instances import InstanceTable
from only1mcp.memory.layout import Layout, SharedMemory
from only1mcp.protocol.versions import Era
from only1mcp.registry.server import BreakerPolicy, Instance, Routing, Server
from only1mcp.resilience.retry_budget import RESERVE
from tests.support.lock_file import LOCK_FILE

CALL = Outgoing("tools/call", b'{"name":"x"}', Era.MODERN, "x")


class Gateway:
    """Workers that share instances."""

    def __init__(self, count: int = 2, *, timeout_ms: int = 3_600_000, **routing: object) -> None:
        self._memory, self._lock = SharedMemory(Layout(4, 1, 1)), LOCK_FILE
        self._server = Server(
            "s", "http", "s", routing=Routing(**routing),  # type: ignore[arg-type]
            instances=tuple(Instance(f"http://u:p@h:{n}/mcp") for n in range(count)),
            breaker=BreakerPolicy(3, 2, timeout_ms),
        )  # fmt: skip
        self.turns: list[tuple[str, str, str, str]] = []
        self.retries: list[tuple[str, bool]] = []

    def worker(self, number: int) -> Instances:
        """Return the instances as one worker sees them."""
        table = InstanceTable(self._memory, self._lock, number)
        known = [table.known("s", place.url) for place in self._server.instances]
        return Instances(
            self._server, known, lambda *turn: self.turns.append(turn),
            lambda *retry: self.retries.append(retry),
        )  # fmt: skip


def fail(instances: Instances, place: int, times: int = 3) -> None:
    """Have calls fail there."""
    for _ in range(times):
        instances.failed(place, 0, "it broke")


def places(instances: Instances, count: int = 40) -> set[int]:
    """Return where calls go; they end at once and well."""
    found = set()
    for _ in range(count):
        chosen = instances.choose(CALL)
        instances.answered(chosen)
        instances.ended(chosen)
        found.add(chosen.place)
    return found


def test_a_breaker_that_one_worker_opens_is_open_for_all() -> None:
    """At once: it is one word."""
    gateway = Gateway()
    one, other = gateway.worker(0), gateway.worker(1)
    assert places(other) == {0, 1}
    fail(one, 0, 2)
    fail(other, 0, 1)
    assert (places(one), places(other)) == ({1}, {1})
    assert gateway.turns == [("s", "http://h:0/mcp", "open", "it broke")]


def test_when_all_breakers_are_open_calls_fail_at_once() -> None:
    """With what a person can do about it."""
    one = Gateway(1).worker(0)
    fail(one, 0)
    with pytest.raises(CircuitOpen, match="gets no calls for now") as failure:
        one.choose(CALL)
    assert "it is tried again in 3600 s" in str(failure.value.hint)


def test_half_open_lets_exactly_the_probes_of_all_workers_through() -> None:
    """Then one that goes well from each of them closes it."""
    gateway = Gateway(1, timeout_ms=0)
    one, other = gateway.worker(0), gateway.worker(1)
    fail(one, 0)
    probes = [one.choose(CALL), other.choose(CALL)]
    assert all(probe.token for probe in probes)
    one.answered(probes[0])
    other.answered(probes[1])
    assert places(one) == {0}
    assert [turn[2] for turn in gateway.turns] == ["open", "half_open", "closed"]


def test_a_probe_that_fails_opens_the_breaker_again() -> None:
    """For all."""
    gateway = Gateway(2, timeout_ms=0)
    one = gateway.worker(0)
    fail(one, 0)
    probe = one.choose(CALL)
    assert (probe.place, probe.token > 0) == (0, True)
    one.failed(probe.place, probe.token, "still broken")
    assert [turn[2:] for turn in gateway.turns] == [
        ("open", "it broke"), ("half_open", "it is tried again"), ("open", "still broken"),
    ]  # fmt: skip


def test_an_abandoned_call_says_nothing() -> None:
    """Neither good nor bad; it is not under way any more."""
    gateway = Gateway(1)
    one = gateway.worker(0)
    fail(one, 0, 2)
    chosen = one.choose(CALL)
    assert one.gauges[0].load() == 1
    one.abandoned(chosen)
    one.ended(chosen)
    assert one.gauges[0].load() == 0
    fail(one, 0, 1)
    assert gateway.turns


def test_who_was_tried_is_not_tried_again() -> None:
    """When there is nobody else, that is said."""
    one = Gateway(2).worker(0)
    assert {one.choose(CALL, 0b01).place for _ in range(10)} == {1}
    with pytest.raises(BackendUnreachable, match="no other instance"):
        one.choose(CALL, 0b11)


def test_a_session_stays_with_its_instance_in_all_workers() -> None:
    """Unless it is told not to."""
    for sticky in (True, False):
        gateway = Gateway(3, algorithm="random", sticky=sticky)
        found = {
            gateway.worker(number % 4).choose(Outgoing("m", b"", Era.LEGACY, session=77)).place
            for number in range(40)
        }
        assert (len(found) == 1) is sticky


@pytest.mark.parametrize("key", ["tool", "arguments", "session"])
def test_a_call_is_placed_by_what_is_configured(key: str) -> None:
    """And by nothing else."""

    def place(tool: str, argument: int, session: int) -> int:
        params = b'{"name":"%b","arguments":{"a":%d}}' % (tool.encode(), argument)
        outgoing = Outgoing("tools/call", params, Era.LEGACY, tool, session=session)
        chosen: Chosen = one.choose(outgoing)
        one.ended(chosen)
        return chosen.place

    one = Gateway(
        4, algorithm="consistent_hash", hash_key=key, sticky=False, hash_arguments=("a",)
    ).worker(0)
    by_tool = {place(f"t{n}", 1, 1) for n in range(40)}
    by_argument = {place("t", n, 1) for n in range(40)}
    by_session = {place("t", 1, n) for n in range(1, 41)}
    varied = {"tool": by_tool, "arguments": by_argument, "session": by_session}
    assert {name for name, found in varied.items() if len(found) > 1} == {key}


def test_repeated_calls_stay_within_the_budget() -> None:
    """Of those that were sent."""
    one = Gateway(1).worker(0)
    granted = 0
    for _ in range(500):
        chosen = one.choose(CALL)
        one.answered(chosen)
        one.ended(chosen)
        granted += one.may_repeat()
    assert 80 <= granted <= 100


def test_it_is_told_what_is_sent_again_and_what_is_withheld() -> None:
    """That the budget allows a call is no retry yet: there may be nobody to send it to."""
    gateway = Gateway(1)
    one = gateway.worker(0)
    allowed = sum(one.may_repeat() for _ in range(RESERVE + 2))
    assert (allowed, gateway.retries) == (RESERVE, [("s", True)] * 2)
    one.sent_again()
    assert gateway.retries[2:] == [("s", False)]
