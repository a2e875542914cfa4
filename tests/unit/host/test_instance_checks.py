"""Each instance of a server is checked by itself."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

from only1mcp.backends.http_backend import open_session
from only1mcp.host.instance_checks import InstanceChecks
from only1mcp.memory.health_words import Health
from only1mcp.memory.instances import FACTOR, HEALTH, LATENCY, Known, loose
from only1mcp.registry.server import BreakerPolicy, Instance, Routing, Server
from only1mcp.resilience import breaker
from only1mcp.resilience.breaker import State
from only1mcp.tasks import Tasks
from only1mcp.transports.streamable_http import make_client
from tests.support.http_site import http_site
from tests.support.loop import eventually, on_loop
from tests.unit.host.test_http_server import Site


class Checked:
    """Instances that are checked, very closely."""

    def __init__(self, checks: InstanceChecks, known: list[Known], sites: list[Site]) -> None:
        self.checks = checks
        self.known = known
        self.sites = sites
        self.turns = 0

    def health(self) -> list[int]:
        """Return what workers read."""
        return [one.gauge.row[HEALTH] for one in self.known]


@asynccontextmanager
async def checked(count: int, **routing: object) -> AsyncIterator[Checked]:
    """Serve so many instances and check them."""
    async with AsyncExitStack() as stack:
        sites, tasks, client = [Site() for _ in range(count)], Tasks(), make_client()
        urls = [await stack.enter_async_context(http_site(site.handle)) for site in sites]
        server = Server(
            "s", "http", "s", instances=tuple(map(Instance, urls)), check_interval_s=0.02,
            check_timeout_s=30.0, routing=Routing(**routing),  # type: ignore[arg-type]
        )  # fmt: skip
        known = [loose() for _ in urls]
        sessions = [open_session(server, client, tasks, url) for url in urls]

        def turned() -> None:
            subject.turns += 1

        subject = Checked(InstanceChecks(lambda: server, sessions, known, turned), known, sites)
        subject.checks.start(tasks)
        try:
            yield subject
        finally:
            subject.checks.stop()
            await tasks.cancel_all()
            await client.close()


@on_loop
async def test_one_that_fails_is_down_and_the_others_are_not() -> None:
    """Until it is back; each change is told once."""
    async with checked(3) as subject:
        await eventually(lambda: subject.health() == [Health.UP] * 3, "all to be up")
        subject.sites[1].status = 503
        await eventually(lambda: subject.health()[1] == Health.DOWN, "one to be down")
        assert subject.health() == [Health.UP, Health.DOWN, Health.UP]
        (why,) = subject.checks.down().values()
        assert "503" in why
        subject.sites[1].status = 200
        await eventually(lambda: subject.health() == [Health.UP] * 3, "all to be up again")
        assert subject.turns == 5


@on_loop
async def test_an_instance_that_is_back_is_tried_at_once() -> None:
    """Its breaker need not wait for its time."""
    policy = BreakerPolicy(1, 1, 3_600_000)
    async with checked(1) as subject:
        await eventually(lambda: subject.health() == [Health.UP], "it to be up")
        subject.sites[0].status = 503
        await eventually(lambda: subject.health() == [Health.DOWN], "it to be down")
        (known,) = subject.known
        assert known.words.swap(known.at, 0, breaker.fail(0, 0, 1, policy))
        subject.sites[0].status = 200
        await eventually(lambda: subject.health() == [Health.UP], "it to be up again")
        assert breaker.read(known.breaker).state is State.OPEN
        assert breaker.admit(known.breaker, 2, policy) is not None


@on_loop
async def test_weights_follow_what_workers_have_counted() -> None:
    """Where that is wished; the latency is shown anyway."""
    for adjusts, expected in ((True, [1000, 500]), (False, [1000, 1000])):
        async with checked(2, adjusts=adjusts) as subject:
            subject.checks.stop()
            for place, micros in enumerate((1000, 2000)):
                subject.known[place].gauge.note(micros, False)
            subject.checks.weighing.once()
            rows = [one.gauge.row for one in subject.known]
            assert [row[FACTOR] for row in rows] == expected
            assert [row[LATENCY] for row in rows] == [1000, 2000]


@on_loop
async def test_weights_are_as_configured_once_they_may_not_be_adjusted() -> None:
    """Before anything is counted anew."""
    async with checked(2, adjusts=True) as subject:
        subject.checks.stop()
        weighing = subject.checks.weighing
        for place, micros in enumerate((1000, 2000)):
            subject.known[place].gauge.note(micros, False)
        weighing.once()
        before = weighing._server()
        fixed = replace(before, routing=replace(before.routing, adjusts=False))
        weighing._server = lambda: fixed
        weighing.publish()
        assert [one.gauge.row[FACTOR] for one in subject.known] == [1000, 1000]


@on_loop
async def test_thresholds_may_change_while_checks_go_on() -> None:
    """A reload does not begin anew."""
    async with checked(1) as subject:
        await eventually(lambda: subject.health() == [Health.UP], "it to be up")
        (check,) = subject.checks.checks
        patient = replace(check._server(), check_failures=1_000_000)
        check._server = lambda: patient
        before = len(subject.sites[0].methods)
        subject.sites[0].status = 503
        await eventually(lambda: len(subject.sites[0].methods) > before + 5, "some checks")
        assert subject.health() == [Health.UP]
