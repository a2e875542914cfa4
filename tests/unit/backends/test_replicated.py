"""A call and the processes of a program: which of them has it, and what its end means."""

import pytest

from only1mcp._speedups import scan
from only1mcp.backends.call import Cancel, FutureSink, Outgoing, ReplySink
from only1mcp.backends.host_link import HostLink
from only1mcp.backends.instances import Instances
from only1mcp.backends.replicated import ReplicatedBackend
from only1mcp.errors import (
    BackendLost,
    BackendUnreachable,
    CircuitOpen,
    InvalidParams,
    Only1MCPError,
)
from only1mcp.memory.instances import loose
from only1mcp.protocol.client_features import Feature
from only1mcp.protocol.versions import Era
from only1mcp.registry.server import BreakerPolicy, Routing, Server
from only1mcp.resilience.retry_budget import RESERVE
from tests.support.loop import on_loop

GONE, LOST = BackendUnreachable("it is down"), BackendLost("it ended")


class Played(HostLink):
    """The link to a host that the test plays."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, ReplySink]] = []
        self.cancelled: list[str] = []
        self.there = True

    @property
    def is_open(self) -> bool:
        """Whether the host is there."""
        return self.there

    def call(self, server_id: str, outgoing: Outgoing, sink: ReplySink, place: str = "") -> Cancel:
        """Note the call."""
        del server_id, outgoing
        self.sent.append((place, sink))
        return lambda: self.cancelled.append(place)

    def fail(self, error: Only1MCPError) -> None:
        """Fail the last one."""
        self.sent[-1][1].on_failure(error)


class Site:
    """A program of three processes, which take turns."""

    def __init__(self) -> None:
        server = Server(
            "s", "stdio", "s", replicas=3, routing=Routing("round_robin", sticky=False),
            breaker=BreakerPolicy(failures=2),
        )  # fmt: skip
        self.link = Played()
        self.retries: list[tuple[str, bool]] = []
        self.instances = Instances(
            server, [loose() for _ in server.places],
            on_retry=lambda *retry: self.retries.append(retry),
        )  # fmt: skip
        self.backend = ReplicatedBackend("s", self.link, self.instances)

    @property
    def places(self) -> list[str]:
        """Where calls went."""
        return [place for place, _ in self.link.sent]

    @property
    def loads(self) -> list[int]:
        """What each has under way."""
        return [gauge.load() for gauge in self.instances.gauges]

    def call(self, *, safe: bool = False, place: str = "") -> tuple[FutureSink, Outgoing, Cancel]:
        """Call."""
        sink = FutureSink()
        outgoing = Outgoing("tools/call", b"{}", Era.MODERN, "x", safe=safe, place=place)
        return sink, outgoing, self.backend.call(outgoing, sink)


@on_loop
async def test_a_call_that_never_left_goes_to_each_of_the_others_once() -> None:
    """Then it fails, and says why."""
    site = Site()
    sink, _, _ = site.call()
    for _ in range(3):
        site.link.fail(GONE)
    assert sorted(site.places) == ["1", "2", "3"]
    assert site.retries == [("s", False)] * 2
    with pytest.raises(BackendUnreachable, match="it is down"):
        await sink.wait(0)
    assert site.loads == [0, 0, 0]


@on_loop
async def test_a_call_that_may_have_run_goes_nowhere_else_unless_it_is_safe() -> None:
    """The first is answered with the failure."""
    site = Site()
    sink, _, _ = site.call()
    site.link.fail(LOST)
    with pytest.raises(BackendLost):
        await sink.wait(0)
    assert len(site.places) == 1
    safe, _, _ = site.call(safe=True)
    site.link.fail(LOST)
    site.link.sent[-1][1].on_reply(scan(b'{"jsonrpc":"2.0","id":1,"result":{}}'))
    await safe.wait(0)
    assert len(site.places) == 3
    assert site.loads == [0, 0, 0]


@on_loop
async def test_processes_that_fail_get_no_calls_until_there_are_none() -> None:
    """Their breakers are open."""
    site = Site()
    for _ in range(6):
        site.call()
        site.link.fail(LOST)
    assert site.places == ["1", "2", "3"] * 2
    refused, _, _ = site.call()
    with pytest.raises(CircuitOpen):
        await refused.wait(0)


@on_loop
async def test_no_process_is_blamed_for_the_host_or_for_the_client() -> None:
    """Neither of them is its fault."""
    site = Site()
    for error in (InvalidParams("too large"), LOST):
        site.link.there = error is not LOST
        for _ in range(6):
            site.call(safe=True)
            site.link.fail(error)
    assert all(gauge.is_closed() for gauge in site.instances.gauges)
    assert len(site.places) == 12


@on_loop
async def test_who_gives_up_is_heard_by_the_process_and_only_silence_is_its_fault() -> None:
    """The breaker counts calls that were not answered in time."""
    site = Site()
    for is_late in (False, True):
        for _ in range(6):
            _, outgoing, cancel = site.call()
            outgoing.timed_out = is_late
            cancel()
            cancel()
        closed = [gauge.is_closed() for gauge in site.instances.gauges]
        assert closed == [not is_late] * 3
    assert len(site.link.cancelled) == 12
    assert site.loads == [0, 0, 0]


@on_loop
async def test_what_belongs_to_a_task_goes_to_the_process_that_has_it() -> None:
    """Where it began is noted; nobody else can answer."""
    site = Site()
    _, outgoing, _ = site.call()
    begun = b'{"jsonrpc":"2.0","id":1,"result":{"resultType":"task","taskId":"t"}}'
    site.link.sent[-1][1].on_reply(scan(begun))
    assert outgoing.place == "1"
    sink, _, _ = site.call(place="3", safe=True)
    site.link.fail(GONE)
    assert site.places == ["1", "3"]
    with pytest.raises(BackendUnreachable):
        await sink.wait(0)
    gone, _, _ = site.call(place="4")
    with pytest.raises(BackendUnreachable, match="not run any more"):
        await gone.wait(0)


@on_loop
async def test_a_call_of_a_client_that_can_be_asked_is_for_no_process_in_particular() -> None:
    """It has one of its own."""
    site = Site()
    asking = Outgoing("tools/call", b"{}", Era.LEGACY, features=Feature.SAMPLING)
    site.backend.call(asking, FutureSink())
    assert site.places == [""]
    assert site.loads == [0, 0, 0]


@on_loop
async def test_the_budget_is_not_asked_for_a_call_that_has_been_everywhere() -> None:
    """Nothing is withheld that could not have been sent."""
    site = Site()
    for _ in range(RESERVE):
        site.instances.may_repeat()
    site.call(safe=True)
    site.link.fail(GONE)
    site.link.fail(GONE)
    site.link.fail(LOST)
    assert site.retries == [("s", False)] * 2
    site.call(safe=True)
    site.link.fail(LOST)
    assert site.retries[2:] == [("s", True)]
