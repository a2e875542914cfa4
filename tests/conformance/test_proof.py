"""The suite without a gateway: what stands before and behind it in the other tests is sound."""

import shlex
from pathlib import Path

import pytest

from tests.conformance.fixture import Fixture
from tests.conformance.plans import OLDER, REVISIONS, Plan
from tests.conformance.scenarios import CLIENT_SCENARIOS, ClientScenario
from tests.conformance.suite import RUN_S, judge_client
from tests.real.installed import PY2

pytestmark = [pytest.mark.real, pytest.mark.timeout(RUN_S + 60)]
CLIENT = shlex.join([PY2, "-m", "tests.conformance.client", "direct"])


@pytest.mark.parametrize("plan", [*REVISIONS, *OLDER], ids=lambda plan: plan.id)
def test_the_server_behind_the_gateway_conforms_itself(plan: Plan, tmp_path: Path) -> None:
    """Whatever fails with the gateway in front of it is the gateway's fault."""
    with Fixture() as fixture:
        verdict = plan.run(tmp_path, fixture.url)
    plan.must_be_met(verdict)
    plan.must_be_exceeded(verdict)


@pytest.mark.parametrize("scenario", CLIENT_SCENARIOS, ids=str)
def test_the_client_before_the_gateway_conforms_itself(
    scenario: ClientScenario, tmp_path: Path
) -> None:
    """Whatever fails with the gateway in between is the gateway's fault."""
    verdict = judge_client(tmp_path, CLIENT, scenario.name, scenario.version)
    complaints = verdict.complaints({scenario.name}, scenario.may_be_skipped)
    assert not complaints, "\n".join(complaints)
    assert verdict.checks, verdict.output
    assert verdict.code == 0, verdict.output
