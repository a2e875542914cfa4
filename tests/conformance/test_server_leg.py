"""The suite as a client of the gateway, with the suite's own server behind it."""

from typing import NamedTuple

import pytest

from tests.conformance.fixture import Fixture
from tests.conformance.plans import OLDER, REVISIONS, Plan
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
    plan, workers = request.param
    with Fixture() as fixture:
        server = {"id": "suite", "url": fixture.url, "prefix": "none", "timeout": CALL_TIMEOUT}
        config = {"servers": [server]}
        with Gateway(config, workers=workers) as gateway:
            return Judged(plan, plan.run(factory.mktemp("suite"), gateway.url))


def _with_workers(plans: list[Plan]) -> list[object]:
    return [
        pytest.param((plan, workers), id=f"{plan.id}-{workers}")
        for plan in plans
        for workers in (1, 4)
    ]


@pytest.fixture(scope="module", params=_with_workers(REVISIONS))
def revision(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Judged:
    """Run what a revision requires through a gateway."""
    return _judge(request, tmp_path_factory)


@pytest.fixture(scope="module", params=_with_workers(OLDER))
def older(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Judged:
    """Run what older clients expect through a gateway."""
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
