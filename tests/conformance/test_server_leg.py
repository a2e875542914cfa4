"""The suite as a client of the gateway, with the suite's own server behind it."""

from collections.abc import Iterable
from typing import NamedTuple

import pytest

from tests.conformance.fixture import Fixture
from tests.conformance.plans import BRIDGED, OLDER, REVISIONS, Plan
from tests.conformance.suite import RUN_S, Verdict
from tests.support.gateway import Gateway

pytestmark = [pytest.mark.real, pytest.mark.timeout(RUN_S + 60)]
CALL_TIMEOUT = "10s"
"""No tool takes nearly that long; a call that hangs does not hold up the rest."""


class Judged(NamedTuple):
    """A plan and what came of it."""

    plan: Plan
    verdict: Verdict


def _judge(request: pytest.FixtureRequest, factory: pytest.TempPathFactory) -> Judged:
    era, plan, workers = request.param
    with Fixture(era) as fixture:
        server = {"id": "suite", "url": fixture.url, "prefix": "none", "timeout": CALL_TIMEOUT}
        with Gateway({"servers": [server]}, workers=workers) as gateway:
            return Judged(plan, plan.run(factory.mktemp("suite"), gateway.url))


def _with_workers(pairs: Iterable[tuple[str, Plan]]) -> list[object]:
    return [
        pytest.param((era, plan, workers), id=f"{plan.id}-{era}-{workers}")
        for era, plan in pairs
        for workers in (1, 4)
    ]


def _dual(plans: Iterable[Plan]) -> list[object]:
    return _with_workers(("dual", plan) for plan in plans)


@pytest.fixture(scope="module", params=_dual(REVISIONS))
def revision(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Judged:
    """Run what a revision requires through a gateway."""
    return _judge(request, tmp_path_factory)


@pytest.fixture(scope="module", params=_dual(OLDER))
def older(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Judged:
    """Run what older clients expect through a gateway."""
    return _judge(request, tmp_path_factory)


@pytest.fixture(scope="module", params=_with_workers(BRIDGED))
def bridged(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Judged:
    """Run what a revision requires through a gateway to a server of one era."""
    return _judge(request, tmp_path_factory)


def test_the_gateway_does_what_a_revision_requires(revision: Judged) -> None:
    """Every scenario that decides about conformance passes, and none of its checks is skipped."""
    revision.plan.must_be_met(revision.verdict)


def test_the_gateway_does_more_than_a_revision_requires(revision: Judged) -> None:
    """Scenarios that the suite runs without counting them pass as well."""
    revision.plan.must_be_exceeded(revision.verdict)


def test_the_gateway_does_what_older_clients_expect(older: Judged) -> None:
    """Older revisions, and the suite of their time, find nothing wrong."""
    older.plan.must_be_met(older.verdict)


def test_the_gateway_bridges_the_eras(bridged: Judged) -> None:
    """A client of either era finds all that its revision requires on a server of either era."""
    bridged.plan.must_be_met(bridged.verdict)
    bridged.plan.must_be_exceeded(bridged.verdict)
