"""What servers say on the streams of calls, in the running gateway."""

from collections.abc import Iterator
from functools import partial

import pytest

from tests.support.cached import WORKERS, Clients, clients_of, configured, look, read
from tests.support.changing_backend import PRIVATE, ChangingBackend, LegacyBackend
from tests.support.event_client import Subscription
from tests.support.gateway import Gateway
from tests.support.keyed import Caller
from tests.support.waiting import wait_until

CHANGED, UPDATED = "notifications/tools/list_changed", "notifications/resources/updated"


@pytest.fixture(params=[ChangingBackend, LegacyBackend], ids=["modern", "legacy"])
def backend(request: pytest.FixtureRequest) -> Iterator[ChangingBackend]:
    """Run a server."""
    with request.param() as backend:
        yield backend


@pytest.fixture(params=[False, True], ids=["compiled", "pure"])
def gateway(request: pytest.FixtureRequest, backend: ChangingBackend) -> Iterator[Gateway]:
    """Run a gateway with two workers before it, which lets anyone in."""
    config = configured(backend)
    del config["auth"]
    with Gateway(config, workers=WORKERS, pure=request.param) as gateway:
        yield gateway


@pytest.fixture
def on_each_worker(gateway: Gateway) -> Iterator[Clients]:
    """Return what finds clients on each worker."""
    with clients_of(gateway) as clients:
        yield clients


def test_who_has_the_answer_to_a_call_is_given_nothing_from_before_it(
    gateway: Gateway, backend: ChangingBackend, on_each_worker: Clients
) -> None:
    """Nor is anybody else, on any worker; and the lists are read again."""
    callers = on_each_worker()
    before = [look(one) for one in callers]
    assert [look(one) for one in callers] == before
    backend.said = (CHANGED, {})
    for count, caller in enumerate(callers, 1):
        with Subscription(gateway.port, toolsListChanged=True) as listening:
            backend.tools.append(f"grown{count}")
            assert look(caller, "tell") == f"tell {count}"
            assert {look(one) for one in callers}.isdisjoint(before)
            listening.until(CHANGED)
            wait_until(partial(_offers, caller, f"b__grown{count}"), "the lists are read")
        before = [look(one) for one in callers]


def _offers(caller: Caller, tool: str) -> bool:
    return tool in caller.names()


def test_who_watches_a_resource_hears_what_was_said_on_a_call(
    gateway: Gateway, backend: ChangingBackend, on_each_worker: Clients
) -> None:
    """It is not given again as it was, either; what tools have answered is."""
    callers = on_each_worker()
    backend.said = (UPDATED, {"uri": PRIVATE})
    with Subscription(gateway.port, resourceSubscriptions=[PRIVATE]) as watching:
        for caller in callers:
            before, kept = {read(one, PRIVATE) for one in callers}, look(caller)
            look(caller, "tell", number=backend.counts["tell"])
            assert {read(one, PRIVATE) for one in callers}.isdisjoint(before)
            assert look(caller) == kept
            assert watching.until(UPDATED)["params"]["uri"] == PRIVATE
